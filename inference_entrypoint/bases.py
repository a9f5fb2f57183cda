"""`load_base`: any BaseModelRef into a pipeline.

The architecture is read from names (`model_index.json`, or the header of a checkpoint) before a
weight is loaded or downloaded. Only safetensors are read and no code of a model is run.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any
from zipfile import is_zipfile

import torch
from diffusers import DiffusionPipeline
from safetensors import SafetensorError

from inference_entrypoint.families import Device, family
from inference_entrypoint.hub import hub_errors, hub_index
from inference_entrypoint.quiet import no_bars
from lensa.contract import BaseModelRef
from lensa.contract.families import family_of_index, family_of_tensors
from lensa.contract.weights import REVISION_FILE, weights_digest
from lensa.errors import BaseModelError

# Where the settings of a single-file checkpoint come from: the file holds the weights alone.
SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def load_base(
    base: BaseModelRef, *, device: Device, dtype: torch.dtype, override: Path | None = None
) -> DiffusionPipeline:
    """Return the base model's pipeline, in evaluation mode, without a safety checker.

    `override` is a folder that holds the base already (a container's channel): a diffusers folder,
    or a folder with one .safetensors checkpoint. Raises BaseModelError.
    """
    if override is None and base.source == "generated":
        from inference_entrypoint.micro import build_micro

        return build_micro().to(device, dtype)
    if override is None and base.source == "hub":
        return _load_hub(base, device, dtype)
    path = _local_path(base, override)
    with _refusals(str(path)):
        if path.is_file():
            pickled = base.source == "pickle"
            names = pickled_names(path) if pickled else tensor_names(path)
            found = family(family_of_tensors(names, str(path)))
            config = _checkpoint_config(path)
            return found.load_file(path, config, device=device, dtype=dtype)
        found = family(family_of_index(_index(path), str(path)))
        return found.load_folder(
            path, device=device, dtype=dtype, variant=_variant(path, base.variant)
        )


def base_revision(base: BaseModelRef, override: Path | None = None) -> str:
    """Return what the base resolves to: a hub commit, a package's or a mirror's REVISION, or the
    first 16 digits of the weights' sha256. Raises BaseModelError."""
    if override is None and base.source == "generated":
        from inference_entrypoint.micro import REVISION

        return REVISION
    if override is None and base.source == "hub":
        return hub_index(base.location, base.revision)[1]
    if override is None and base.source == "package":
        return str(_package(base).REVISION)
    path = _local_path(base, override)
    if override is not None and (override / REVISION_FILE).is_file():
        return (override / REVISION_FILE).read_text().strip()
    return weights_digest(path)


def tensor_names(file: Path) -> list[str]:
    """Return the names in a safetensors header. Not a byte of the weights is read."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= 100_000_000:  # the format's own limit
                raise ValueError("no header")
            header = json.loads(stream.read(length))
        return [name for name in header if name != "__metadata__"]
    except (ValueError, TypeError) as error:
        raise BaseModelError(
            f"{file} is not a safetensors file. Pickled ones (.ckpt, .bin) can run code: convert "
            "them first, or train with a .ckpt and --allow-ckpt, which reads its tensors alone."
        ) from error


def pickled_names(file: Path) -> list[str]:
    """Return the names of the tensors in a `.ckpt` that may be read: of tensors alone, since
    anything else in a pickle is code that runs. Raises BaseModelError."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise BaseModelError(
            f"{file} cannot be read as weights alone: {_first_line(error)} Convert it to "
            ".safetensors with the tool that it is from."
        ) from None
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise BaseModelError(f"{file} holds no weights by name: it is no checkpoint.")
    return [str(name) for name in weights]


def fetch_hub(base: BaseModelRef) -> tuple[Path, str]:
    """Return the folder with a hub model's files, downloaded if need be, and its commit.

    Raises BaseModelError, before a weight is downloaded if its architecture is not supported.
    """
    index, commit = hub_index(base.location, base.revision)
    family_of_index(index, base.location)
    with hub_errors(base.location, base.revision), _refusals(base.location):
        return _snapshot(base, commit, base.variant), commit


def _load_hub(base: BaseModelRef, device: Device, dtype: torch.dtype) -> DiffusionPipeline:
    folder, _ = fetch_hub(base)
    found = family(family_of_index(_index(folder), base.location))
    with _refusals(base.location):
        return found.load_folder(
            folder, device=device, dtype=dtype, variant=_variant(folder, base.variant)
        )


def _snapshot(base: BaseModelRef, commit: str, variant: str | None) -> Path:
    """Download what the pipeline needs, of the variant if there is one."""
    try:
        folder = DiffusionPipeline.download(
            base.location,
            revision=commit,
            variant=variant,
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
        )
    except (ValueError, OSError) as error:
        if variant is None or "variant" not in str(error):
            raise
        return _snapshot(base, commit, None)
    return Path(folder)


def _local_path(base: BaseModelRef, override: Path | None) -> Path:
    """Return the diffusers folder or the checkpoint file; BaseModelError if there is neither."""
    if override is None and base.source == "package":
        try:
            return Path(_package(base).base_path())
        except FileNotFoundError as error:
            raise BaseModelError(str(error)) from None
    path = override or Path(base.location)
    if not path.exists():
        raise BaseModelError(f"{path}: no such file or folder (base model {base.name!r}).")
    if path.is_file() or (path / "model_index.json").is_file():
        return path
    suffix = ".ckpt" if base.source == "pickle" else ".safetensors"
    checkpoints = sorted(path.glob(f"*{suffix}"))
    if len(checkpoints) == 1:
        return checkpoints[0]
    raise BaseModelError(
        f"{path} is not a base model: it holds no model_index.json (a diffusers folder) "
        f"and {len(checkpoints)} {suffix} files instead of one."
    )


def _package(base: BaseModelRef) -> ModuleType:
    try:
        return importlib.import_module(base.location)
    except ImportError:
        name = base.location.replace("_", "-")
        raise BaseModelError(
            f"base {base.name!r} comes with the package {name}: pip install {name}"
        ) from None


def _index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except ValueError:
        index = None
    if isinstance(index, dict):
        return index
    raise BaseModelError(f"{folder / 'model_index.json'} is not a JSON object.")


def _variant(folder: Path, wanted: str | None) -> str | None:
    """Return the variant to load ("fp16"): the wanted one if it is there, or the one there is if
    no weights have plain names."""
    names = [file.name.split(".") for file in folder.glob("unet/*.safetensors")]
    variants = {name[1].split("-")[0] for name in names if len(name) > 2}
    if wanted in variants:
        return wanted
    plain = any(len(name) == 2 for name in names)
    return min(variants) if variants and not plain else None


def _checkpoint_config(file: Path) -> Path:
    """Return a diffusers folder with the settings for a checkpoint: beside the file, or SD 1.5's
    from the hub (a megabyte, kept in its cache)."""
    for folder in (file.with_suffix(""), file.parent):
        if (folder / "model_index.json").is_file():
            return folder
    from huggingface_hub import snapshot_download

    try:
        with hub_errors(SD15):
            patterns = ["*.json", "*/*.json", "tokenizer/*.txt"]
            return Path(
                snapshot_download(
                    SD15, allow_patterns=patterns, ignore_patterns=["safety_checker/*"]
                )
            )
    except BaseModelError as error:
        raise BaseModelError(
            f"{file.name} holds weights alone; the tokenizer and the settings of SD 1.5 come from "
            f"the hub, once. {error} Or put a diffusers folder of SD 1.5 (its .json and .txt "
            f"files are enough) at {file.with_suffix('')}."
        ) from None


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """Turn what they cannot load into one BaseModelError."""
    no_bars()
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = " ".join(str(error).split())[:400].rstrip(".")
        raise BaseModelError(
            f"{where} cannot be loaded as a base model: {reason}. "
            "lensa reads safetensors only; every network must be complete."
        ) from error


def _first_line(error: Exception) -> str:
    """What a library says first, with one full stop: torch goes on with how to run the code."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{line.partition('. ')[0][:200].rstrip('.')}."
