"""What files a pipeline's folder holds, read without loading them. Needs no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.errors import ModelNotLoaded

INDEX = "model_index.json"
"""File in a pipeline's folder that names its class and its components."""

SAFETY_CHECKER = "safety_checker"
"""The component that the service runs beside the pipeline, never inside it."""

FP16 = "fp16"
"""The variant of files stored in half precision: `….fp16.safetensors`."""

_LONGEST_HEADER = 100_000_000
"""Bytes; safetensors itself refuses longer ones."""

_SHARD = re.compile(r"-\d{5}-of-\d{5}")
_PICKLED = (".bin", ".ckpt", ".pt", ".pth")
_WITHOUT_WEIGHTS = ("Tokenizer", "Processor", "Scheduler", "Extractor")


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight files of a pipeline, by component.

    Attributes:
        plain: components that have safetensors files without a variant in their name.
        fp16: components that have safetensors files of the variant fp16.
        pickled: components whose weights are pickles only.
        missing: components without weights, or with parts of them missing.
    """

    plain: frozenset[str]
    fp16: frozenset[str]
    pickled: frozenset[str]
    missing: frozenset[str]

    def variant(self, gpu: bool) -> str | None:
        """The variant to load: fp16 on a GPU if there are such files, else only in need."""
        wanted = self.fp16 if gpu else self.fp16 - self.plain
        return FP16 if wanted else None


def read_index(folder: Path) -> dict[str, object]:
    """The contents of `model_index.json`.

    Raises:
        ModelNotLoaded: it is absent, or no JSON object that names a pipeline's class.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelNotLoaded(
            f"{path} cannot be read ({error}): download the model again."
        ) from error
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ModelNotLoaded(f"{path} names no pipeline class: download the model again.")
    return index


def components(index: dict[str, object]) -> dict[str, str]:
    """Class names of the components in a `model_index.json`, the safety checker apart."""
    return {
        name: entry[1]
        for name, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)
        if name != SAFETY_CHECKER
    }


def scan(folder: Path, replaced: frozenset[str] = frozenset()) -> Weights:
    """See which weights a pipeline's folder holds.

    Args:
        folder: holds `model_index.json` and a folder per component.
        replaced: components whose weights come from elsewhere.

    Raises:
        ModelNotLoaded: `model_index.json` cannot be used.
    """
    found: dict[str, set[str]] = {"plain": set(), FP16: set(), "pickled": set(), "missing": set()}
    for name, class_name in components(read_index(folder)).items():
        for kind in _kinds(folder / name, class_name, name in replaced):
            found[kind].add(name)
    return Weights(**{kind: frozenset(names) for kind, names in found.items()})


def _kinds(part: Path, class_name: str, is_replaced: bool) -> Iterable[str]:
    """Names of the fields of Weights that a component belongs to."""
    if any(word in class_name for word in _WITHOUT_WEIGHTS):
        return () if part.is_dir() else ("missing",)
    if is_replaced:
        return ()
    kinds = [kind for kind in ("plain", FP16) if _has(part, kind)]
    if not (part / "config.json").is_file():
        return ("missing",)
    if kinds:
        return kinds
    is_pickled = any(path.suffix in _PICKLED for path in part.glob("*"))
    return ("pickled" if is_pickled else "missing",)


def _has(part: Path, kind: str) -> bool:
    """Whether all safetensors files of a kind are there, every shard that an index names."""
    suffix = "safetensors.index.fp16.json" if kind == FP16 else "safetensors.index.json"
    for index in part.glob(f"*.{suffix}"):
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return False
        return all((part / name).is_file() for name in names)
    return any(
        path.is_file() and is_fp16(path.name) == (kind == FP16)
        for path in part.glob("*.safetensors")
    )


def is_fp16(filename: str) -> bool:
    """Whether a weight file's name, or its index's, carries the variant fp16."""
    name = _SHARD.sub("", filename)
    return name.endswith((f".{FP16}.safetensors", f".safetensors.index.{FP16}.json"))


def choose_files(
    filenames: Iterable[str], index: dict[str, object], prefer_fp16: bool
) -> list[str]:
    """The files of a repository that a pipeline is loaded from: one variant, no pickles.

    Args:
        filenames: all of the repository's, as posix paths.
        index: the contents of its `model_index.json`.
        prefer_fp16: take the variant fp16 where a component has both.

    Returns:
        Paths below the components' folders, and `model_index.json` itself.
    """
    chosen = [INDEX]
    by_folder: dict[str, list[str]] = {name: [] for name in components(index)}
    for filename in filenames:
        path = PurePosixPath(filename)
        if len(path.parts) == 2 and path.parts[0] in by_folder:
            by_folder[path.parts[0]].append(filename)
    for names in by_folder.values():
        weights = [name for name in names if ".safetensors" in name]
        halves = [name for name in weights if is_fp16(name)]
        plain = [name for name in weights if name not in halves]
        has_plain = any(name.endswith(".safetensors") for name in plain)
        chosen += halves if halves and (prefer_fp16 or not has_plain) else plain
        chosen += [name for name in names if name not in weights and _is_small(name)]
    return sorted(chosen)


def _is_small(filename: str) -> bool:
    """Whether a file is a configuration or a tokenizer, of which all are wanted."""
    path = PurePosixPath(filename)
    return path.suffix in (".json", ".txt", ".model") and ".bin.index" not in path.name


def stored_dtype(path: Path) -> str | None:
    """Type of the first tensor in a safetensors file, as its header says: `F32`, `F16`, `BF16` ….

    None if the header cannot be read.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        return next(str(entry["dtype"]) for name, entry in header.items() if name[:2] != "__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
