"""`load_avatar`: a trained folder into something that draws; no byte and no key unaccounted for.

An avatar's folder holds `avatar.json`, and what was trained: `pytorch_lora_weights.safetensors`, or
the folders `unet/` and `text_encoder/`. Nothing is written into it: it may be read-only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from inference_entrypoint.adapters import (
    LORA_FILE,
    compare,
    load_lora,
    tensor_shapes,
    trained_parts,
)
from inference_entrypoint.bases import base_revision, load_base
from inference_entrypoint.expand import MagicPrompt, load_expander
from inference_entrypoint.families import Device, family_of
from inference_entrypoint.generate import OnStep, Result, generate
from lensa.contract import MANIFEST, AvatarManifest, GenerationRequest
from lensa.errors import ArtifactError, ConfigError


@dataclass
class Avatar:
    """A loaded avatar."""

    manifest: AvatarManifest
    pipeline: DiffusionPipeline

    @property
    def name(self) -> str:
        return self.manifest.avatar

    @cached_property
    def expander(self) -> MagicPrompt | None:
        """Loaded when it is first asked for: half a gigabyte that many never use."""
        return load_expander(self.manifest.config.base.expander)

    def generate(self, request: GenerationRequest, *, on_step: OnStep | None = None) -> Result:
        """Return the images of a request. Raises as `generate` does, and as `load_expander`."""
        return generate(
            self.pipeline,
            request.suited_to(self.manifest.config.base),
            subject=self.manifest.config.subject,
            class_noun=self.manifest.config.class_noun,
            expander=self.expander if request.expand else None,
            on_step=on_step,
        )


def load_avatar(
    model_dir: Path,
    *,
    device: Device | None = None,
    dtype: torch.dtype | None = None,
    override: Path | None = None,
) -> Avatar:
    """Return the avatar of a folder, on the best device there is unless told otherwise.

    `override` is a folder that holds the base model already. Raises ArtifactError if the avatar is
    incomplete, altered or does not fit the base, BaseModelError if the base cannot be had.
    """
    manifest = read_manifest(model_dir)
    verify_files(model_dir, manifest)
    base = manifest.config.base
    if base.source == "hub":  # the commit it was trained on, whatever "main" is by now
        base = base.model_copy(update={"revision": manifest.base_revision})
    revision = base_revision(base, override)
    if revision != manifest.base_revision:
        raise ArtifactError(
            f"Avatar {manifest.avatar} was trained on {base.name} at revision "
            f"{manifest.base_revision}, and this is {revision}: it would draw someone else. "
            "Give it the base it was trained on, or train it again."
        )
    own_device, own_dtype = best_device()
    device, dtype = device or own_device, dtype or own_dtype
    pipeline = load_base(base, device=device, dtype=dtype, override=override)
    if manifest.config.method == "lora":
        load_lora(pipeline, _listed(model_dir, manifest, LORA_FILE), manifest.config)
    else:
        _load_full(pipeline, model_dir, manifest, device=device, dtype=dtype)
    for part in family_of(pipeline).parts(pipeline).values():
        part.requires_grad_(False)
    return Avatar(manifest, pipeline)


def best_device() -> tuple[torch.device, torch.dtype]:
    """Return where to draw and in which numbers: fp16 on a GPU, fp32 on a CPU.

    fp16 and not bf16: SD 1.x stays within its range, and it rounds eight times finer.
    """
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.float16
    return torch.device("cpu"), torch.float32


def read_manifest(model_dir: Path) -> AvatarManifest:
    """Return the parsed `avatar.json`. Raises ArtifactError."""
    path = model_dir / MANIFEST
    try:
        manifest = AvatarManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{model_dir} holds no avatar: {MANIFEST} is not there.") from None
    except (ConfigError, OSError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None
    if manifest.format != 1:
        raise ArtifactError(
            f"{path} has format {manifest.format}, made by a newer lensa: upgrade this one."
        )
    return manifest


def verify_files(model_dir: Path, manifest: AvatarManifest) -> None:
    """Hold every file against its size and sha256. Raises ArtifactError naming the file."""
    for record in manifest.files:
        path = model_dir / record.path
        try:
            size = path.stat().st_size
            if size != record.size:
                raise ArtifactError(
                    f"{record.path} of avatar {manifest.avatar} has {size} bytes instead of "
                    f"{record.size}: it was cut off or replaced. Fetch the avatar again."
                )
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(
                f"{record.path} of avatar {manifest.avatar} cannot be read: {error.strerror}."
            ) from None
        if digest != record.sha256:
            raise ArtifactError(
                f"{record.path} of avatar {manifest.avatar} was altered: its sha256 is not the "
                "one in the manifest. Fetch the avatar again."
            )


def _listed(model_dir: Path, manifest: AvatarManifest, path: str) -> Path:
    """Return a file that the manifest vouches for; others are never loaded."""
    if path not in {record.path for record in manifest.files}:
        raise ArtifactError(f"Avatar {manifest.avatar} has no {path} in its manifest.")
    return model_dir / path


def _load_full(
    pipeline: DiffusionPipeline,
    model_dir: Path,
    manifest: AvatarManifest,
    *,
    device: Device,
    dtype: torch.dtype,
) -> None:
    """Put the trained networks in the place of the base's."""
    family = family_of(pipeline)
    for part in trained_parts(manifest.config):
        _listed(model_dir, manifest, f"{part}/config.json")
        names = [r.path for r in manifest.files if r.path.startswith(f"{part}/")]
        found = {
            name: shape
            for path in names
            if path.endswith(".safetensors")
            for name, shape in tensor_shapes(model_dir / path).items()
        }
        state = family.parts(pipeline)[part].state_dict()
        compare(f"{part}/", found, {name: tuple(value.shape) for name, value in state.items()})
        try:
            module = family.load_part(part, model_dir, dtype=dtype, subfolder=part)
        except (OSError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{part}/ of avatar {manifest.avatar}: {error}") from error
        pipeline.register_modules(**{part: module.to(device)})
