"""The tokenizer and the text encoder."""

import json
import random

import torch
from diffusers.models.embeddings import TextTimeEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.captions import add_noise, write_caption
from training.scene import HOUSE_COLORS, LANDS, SIDES, TIMES, Scene, sample_training_scene

MAX_TOKENS = 40
WIDTH = 128
VOCABULARY = 700
START, END = "<|startoftext|>", "<|endoftext|>"
ORBS = (None, "sun", "full moon", "crescent moon")


def build_tokenizer(captions: int = 5_000, seed: int = 2) -> CLIPTokenizer:
    """Learn a byte-pair vocabulary from captions; every letter stays available on its own."""
    rng = random.Random(seed)
    texts = (noisy_caption(sample_training_scene(rng), rng) for _ in range(captions))
    alphabet = [*"abcdefghijklmnopqrstuvwxyz0123456789.,-'!?"]
    model = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    model.normalizer = normalizers.Lowercase()
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, end_of_word_suffix="</w>", initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    model.train_from_iterator(texts, trainer)
    learned = json.loads(model.to_str())["model"]
    vocabulary: dict[str, int] = dict(learned["vocab"])
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in learned["merges"]]
    for letter in alphabet:
        vocabulary.setdefault(letter, len(vocabulary))
        vocabulary.setdefault(f"{letter}</w>", len(vocabulary))
    for special in (START, END):
        vocabulary[special] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def noisy_caption(scene: Scene, rng: random.Random) -> str:
    """Write a training caption."""
    return add_noise(write_caption(scene, rng).text, rng)


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return an untrained text encoder of two layers."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def encode_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Return token ids, shape (len(texts), MAX_TOKENS)."""
    encoded = tokenizer(
        texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    ids: Tensor = encoded.input_ids.to(torch.get_default_device())
    return ids


def attribute_labels(scene: Scene) -> tuple[int, ...]:
    """Return the class of every attribute, in the order of ``ATTRIBUTE_SIZES``."""
    house = 0 if scene.house is None else 1 + HOUSE_COLORS.index(scene.house)
    orb_side = UNKNOWN if scene.orb is None else SIDES.index(scene.orb_side)
    house_side = UNKNOWN if scene.house is None else SIDES.index(scene.house_side)
    flags = (scene.stars, scene.clouds, scene.trees, scene.boat, scene.cactus)
    return (
        TIMES.index(scene.time), LANDS.index(scene.land), ORBS.index(scene.orb),
        orb_side, house, house_side,
        *(int(flag) for flag in flags),
    )  # fmt: skip


ATTRIBUTE_SIZES = (4, 5, 4, 3, 6, 3, 2, 2, 2, 2, 2)
UNKNOWN = -100
"""Class of a side where nothing stands: PyTorch's cross entropy passes over it."""


def warm_up(
    encoder: CLIPTextModel,
    pooling: TextTimeEmbedding,
    tokenizer: CLIPTokenizer,
    steps: int,
    seed: int = 3,
) -> None:
    """Teach the encoder to tell attributes apart before any picture is seen, and fix it so.

    Far cheaper than learning the same through the denoiser, which would let it forget whatever
    does not help at first: clouds, and where things stand. What is read out is the vector that
    ``pooling`` makes of a caption for the denoiser; the linear head is thrown away.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    fixed = nn.ModuleList([encoder, pooling])
    fixed.requires_grad_(True)
    head = nn.Linear(pooling.proj.out_features, sum(ATTRIBUTE_SIZES))
    parameters = [*encoder.parameters(), *pooling.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, 1e-3, betas=(0.9, 0.99))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
        scenes = [sample_training_scene(rng) for _ in range(64)]
        ids = encode_ids(tokenizer, [noisy_caption(scene, rng) for scene in scenes])
        labels = torch.tensor([attribute_labels(scene) for scene in scenes])
        logits = head(pooling(encoder(ids).last_hidden_state)).split(ATTRIBUTE_SIZES, dim=1)
        losses = [functional.cross_entropy(part, labels[:, i]) for i, part in enumerate(logits)]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if (step + 1) % 200 == 0:
            print(f"text warm-up {step + 1} loss {loss.item():.4f}", flush=True)
    fixed.requires_grad_(False)
