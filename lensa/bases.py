"""From the word a user gives for a base model to a reference that is known to be usable.

The architecture is read before anything runs: from `model_index.json` on the hub or on disk, or
from the tensor names at the head of a single-file checkpoint.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lensa.contract import BASES, BaseModelRef, VaeRef
from lensa.contract.bases import SAFETY_CHECKER
from lensa.contract.families import check_vae, family_of_index, family_of_tensors
from lensa.errors import BaseModelError, suggest

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HEADER_LIMIT = 100 * 1024 * 1024  # of a safetensors file, by its own specification
_HUB_SECONDS = 10


def resolve_base(name: str, *, allow_ckpt: bool = False) -> BaseModelRef:
    """Return the base model that `name` stands for: a registered name, a local diffusers folder, a
    `.safetensors` checkpoint, or a hub repository id (`owner/name`, `owner/name@revision`).

    With `allow_ckpt` a `.ckpt` too, whose weights alone are read, and which is looked into only
    where it is loaded.

    Raises BaseModelError if there is no such model or its architecture is not supported.
    """
    if name in BASES:
        return _asked(BASES[name])
    path = Path(name).expanduser()
    if path.is_dir():
        return _folder(path.resolve())
    if path.is_file() or path.suffix in {".safetensors", ".ckpt", ".pt", ".bin"}:
        return _file(path, allow_ckpt)
    location, _, revision = name.partition("@")
    if _HUB_ID.fullmatch(location):
        base = BaseModelRef(
            name=location,
            source="hub",
            location=location,
            revision=revision or None,
            safety_checker=SAFETY_CHECKER,
        )
        return _asked(base)
    raise BaseModelError(
        f"unknown base model {name!r}.{suggest(name, BASES)} It can also be a hub id (owner/name), "
        "a diffusers folder or a .safetensors file."
    )


def _folder(path: Path) -> BaseModelRef:
    index = path / "model_index.json"
    if not index.is_file():
        raise BaseModelError(
            f"{path} is not a diffusers model: it has no model_index.json. Give the folder that "
            "save_pretrained wrote, or a .safetensors checkpoint."
        )
    family = family_of_index(_json(index.read_bytes(), str(index)), str(path))
    resolution = _resolution(path)
    return BaseModelRef(
        name=path.name,
        source="folder",
        location=str(path),
        family=family,
        safety_checker=_checker(path),
        **({"resolution": resolution} if resolution else {}),
    )


def _checker(folder: Path) -> str | None:
    """The folder's own safety checker, if it comes as safetensors."""
    checker = folder / "safety_checker"
    return str(checker) if any(checker.glob("model*.safetensors")) else None


def _resolution(folder: Path) -> int | None:
    """The pixels a side that the UNet was made for, from the two configurations that say so."""
    try:
        unet = json.loads((folder / "unet" / "config.json").read_bytes())
        vae = json.loads((folder / "vae" / "config.json").read_bytes())
        side = int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return side if 16 <= side <= 2048 else None


def resolve_vae(name: str) -> VaeRef:
    """Return the VAE that `name` stands for: a diffusers folder, or a hub id (`owner/name`,
    `owner/name@revision`). Raises BaseModelError if it is none, as far as can be seen from here."""
    path = Path(name).expanduser()
    if path.is_dir():
        config = path / "config.json"
        if not config.is_file() or not any(path.glob("*.safetensors")):
            raise BaseModelError(
                f"{path} is not a VAE of diffusers: it needs a config.json and the weights as "
                ".safetensors. Of a whole model, give its folder vae/."
            )
        check_vae(_json(config.read_bytes(), str(config)), str(path))
        return VaeRef(source="folder", location=str(path.resolve()))
    location, _, revision = name.partition("@")
    if not _HUB_ID.fullmatch(location):
        raise BaseModelError(f"unknown VAE {name!r}: give a hub id (owner/name) or a folder.")
    settings = _asked_for(location, revision or None, "config.json", "VAE")
    if settings is not None:
        check_vae(settings, location)
    return VaeRef(source="hub", location=location, revision=revision or None)


def _file(path: Path, allow_ckpt: bool) -> BaseModelRef:
    if path.suffix == ".ckpt" and allow_ckpt:
        if not path.is_file():
            raise BaseModelError(f"there is no file {path}.")
        return BaseModelRef(name=path.stem, source="pickle", location=str(path.resolve()))
    if path.suffix != ".safetensors":
        ckpt = path.suffix == ".ckpt"
        raise BaseModelError(
            f"{path.name}: a {path.suffix} file can run code when it is loaded. Convert it to "
            ".safetensors first"
            + (", or allow it: --allow-ckpt reads its weights alone." if ckpt else ".")
        )
    if not path.is_file():
        raise BaseModelError(f"there is no file {path}.")
    return BaseModelRef(
        name=path.stem,
        source="file",
        location=str(path.resolve()),
        family=family_of_tensors(_tensor_names(path), path.name),
    )


def _tensor_names(path: Path) -> Iterable[str]:
    """The names in a safetensors file: 8 bytes of little-endian length, then that much JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= _HEADER_LIMIT:
            raise BaseModelError(f"{path.name} is not a safetensors file.")
        header = file.read(length)
    return _json(header, path.name).keys() - {"__metadata__"}


def _json(content: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BaseModelError(f"{where} is damaged: it holds no JSON object.")
    return value


def _asked(base: BaseModelRef) -> BaseModelRef:
    """Ask the hub for a model's index. Where the hub cannot be reached the job itself decides: the
    model may lie in its cache."""
    if base.source != "hub":
        return base
    index = _asked_for(base.location, base.revision, "model_index.json", "diffusers model")
    if index is None:
        return base
    return base.model_copy(update={"family": family_of_index(index, base.location)})


def _asked_for(location: str, revision: str | None, file: str, what: str) -> dict[str, Any] | None:
    """Return a JSON file of a hub repository; None where the hub cannot be reached."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"}:
        return None
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{hub}/{location}/resolve/{revision or 'main'}/{file}"
    request = urllib.request.Request(url)  # noqa: S310 - the scheme is the user's own HF_ENDPOINT
    if token := os.environ.get("HF_TOKEN"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_HUB_SECONDS) as answer:  # noqa: S310
            return _json(answer.read(1 << 20), url)
    except urllib.error.HTTPError as error:
        if error.code in {401, 403}:
            raise BaseModelError(
                f"the hub does not give {location} to you ({error.code}): it does not exist, "
                "is private, or asks you to accept its licence on its page; then set HF_TOKEN."
            ) from None
        if error.code == 404:
            raise BaseModelError(
                f"the hub has no {what} {location}"
                + (f" at revision {revision}." if revision else ".")
            ) from None
        return None
    except (OSError, ValueError):
        return None
