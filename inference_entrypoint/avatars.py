"""`load_avatar`: a trained folder into something that draws; no byte and no key unaccounted for.

An avatar's folder holds `avatar.json`, and what was trained: `pytorch_lora_weights.safetensors`, or
the folders `unet/` and `text_encoder/`. Nothing is written into it: it may be read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DiffusionPipeline

from inference_entrypoint.adapters import (
    ADAPTER,
    compare,
    load_lora,
    tensor_shapes,
    trained_parts,
)
from inference_entrypoint.artifact import LORA_FILE, listed, read_manifest, verify_files
from inference_entrypoint.bases import base_revision, load_base
from inference_entrypoint.batching import draw_alone
from inference_entrypoint.devices import best_device
from inference_entrypoint.drawing import OnStep
from inference_entrypoint.expand import MagicPrompt, load_expander
from inference_entrypoint.families import Device, family_of
from inference_entrypoint.few_step import FEW_STEP, load_accelerator
from inference_entrypoint.modes import evaluating
from inference_entrypoint.order import Order, Result
from inference_entrypoint.safety import SafetyChecker, load_checker
from inference_entrypoint.tiny_decoder import check_fits, load_tiny_decoder
from inference_entrypoint.vaes import pinned_vae, replace_vae
from lensa.contract import AvatarManifest, BaseModelRef, GenerationRequest
from lensa.contract.generation import FewStep
from lensa.errors import ArtifactError, ConfigError


@dataclass
class Base:
    """A loaded base model, and what comes with it once it is asked for: gigabytes that many never
    use."""

    ref: BaseModelRef
    pipeline: DiffusionPipeline
    folder: Path | None = None  # a mirror, which may hold the safety checker too
    _accelerated: FewStep | None = None

    @cached_property
    def expander(self) -> MagicPrompt | None:
        return load_expander(self.ref.expander)

    @cached_property
    def tiny_decoder(self) -> AutoencoderTiny:
        return load_tiny_decoder(device=self.pipeline.device, dtype=self.pipeline.dtype)

    def accelerate(self, name: FewStep) -> None:
        """Load the LoRA for few steps, unless it is the one that is there."""
        if self._accelerated != name:
            self._accelerated = None  # should it fail, the one before is gone all the same
            load_accelerator(self.pipeline, name)
            self._accelerated = name

    @cached_property
    def checker(self) -> SafetyChecker | None:
        mirrored = self.folder and self.folder / "safety_checker"
        return load_checker(
            str(mirrored) if mirrored and mirrored.is_dir() else self.ref.safety_checker,
            device=self.pipeline.device,
            dtype=self.pipeline.dtype,
        )


@dataclass
class Avatar:
    """A loaded avatar."""

    manifest: AvatarManifest
    base: Base
    adapter: str | None = None  # its name among others in the pipeline; None: it is alone there

    @property
    def name(self) -> str:
        return self.manifest.avatar

    @property
    def pipeline(self) -> DiffusionPipeline:
        return self.base.pipeline

    def generate(self, request: GenerationRequest, *, on_step: OnStep | None = None) -> Result:
        """Return the images of a request. Raises as `order` does and as drawing them does."""
        return draw_alone(self.order(request), on_step=on_step)

    @torch.no_grad()
    def order(
        self, request: GenerationRequest, make_ready: Callable[[], object] = lambda: None
    ) -> Order:
        """Return a request read and encoded. `make_ready`: see `Order`.

        Raises as `generate` does before it draws, as `load_expander` and `load_checker`, and
        ConfigError if another avatar is meant.
        """
        config, base = self.manifest.config, self.base
        adapters, few_step = self._adapters(request), request.few_step
        if few_step is not None:
            own = {ADAPTER: request.adapter_scale} if config.method == "lora" else {}
            base.accelerate(few_step)
            adapters = {**(own if adapters is None else adapters), FEW_STEP: 1.0}

        if request.tiny_decoder:
            check_fits(self.pipeline, base.tiny_decoder)

        def ready() -> None:
            make_ready()
            if few_step is not None:
                base.accelerate(few_step)

        with evaluating(self.pipeline):
            return Order(
                self.pipeline,
                request.suited_to(config.base),
                subject=config.subject,
                class_noun=config.class_noun,
                others=config.concepts,
                style=config.kind == "style",
                expander=base.expander if request.expand else None,
                checker=self._checker(request),
                adapters=adapters,
                tiny_decoder=base.tiny_decoder if request.tiny_decoder else None,
                make_ready=ready,
            )

    def _adapters(self, request: GenerationRequest) -> dict[str, float] | None:
        if request.avatar not in (None, self.name):
            raise ConfigError(
                f"generation: avatar = {request.avatar!r}, and this is {self.name!r}: "
                "leave avatar out, or ask the endpoint that has the other one."
            )
        if self.adapter is not None:
            return {self.adapter: request.adapter_scale, **request.blend}
        if request.blend:
            raise ConfigError(
                f"generation: blend names {', '.join(request.blend)}, and {self.name!r} is alone "
                "here: leave blend out, or serve these avatars together."
            )
        return None

    def _checker(self, request: GenerationRequest) -> SafetyChecker | None:
        """On for people and styles where the base has one, unless the request says otherwise."""
        wanted = request.safety
        if wanted is None:
            known = self.base.ref.safety_checker is not None
            # A style is not of people, but people are what is drawn in it.
            kinds = {concept.kind for concept in self.manifest.config.every_concept}
            wanted = known and bool(kinds & {"person", "style"})
        if not wanted:
            return None
        if self.base.checker is None:
            raise ConfigError(
                f"generation: safety is true, but base {self.base.ref.name} has no safety "
                "checker: leave safety out, or set it to false."
            )
        return self.base.checker


def load_avatar(
    model_dir: Path,
    *,
    device: Device | None = None,
    dtype: torch.dtype | None = None,
    override: Path | None = None,
) -> Avatar:
    """Return the avatar of a folder, on the best device there is unless told otherwise.

    `override` is a folder that holds the base model already. Raises ArtifactError if the avatar is
    incomplete, altered or does not fit the base, BaseModelError if the base cannot be had, and as
    `best_device` does.
    """
    manifest = read_manifest(model_dir)
    verify_files(model_dir, manifest)
    ref = pinned_base(manifest)
    revision = base_revision(ref, override)
    if revision != manifest.base_revision:
        raise ArtifactError(
            f"Avatar {manifest.avatar} was trained on {ref.name} at revision "
            f"{manifest.base_revision}, and this is {revision}: it would draw someone else. "
            "Give it the base it was trained on, or train it again."
        )
    own_device, own_dtype = best_device()
    device, dtype = device or own_device, dtype or own_dtype
    pipeline = load_base(ref, device=device, dtype=dtype, override=override)
    if (vae := pinned_vae(manifest)) is not None:
        replace_vae(pipeline, vae)
    if manifest.config.method == "lora":
        load_lora(pipeline, listed(model_dir, manifest, LORA_FILE), manifest.config)
    else:
        _load_full(pipeline, model_dir, manifest, device=device, dtype=dtype)
    freeze(pipeline)
    return Avatar(manifest, Base(ref, pipeline, override))


def pinned_base(manifest: AvatarManifest) -> BaseModelRef:
    """Return the base of an avatar: the commit it was trained on, whatever "main" is by now."""
    base = manifest.config.base
    if base.source != "hub":
        return base
    return base.model_copy(update={"revision": manifest.base_revision})


def freeze(pipeline: DiffusionPipeline) -> None:
    """Nothing in this pipeline is trained."""
    for part in family_of(pipeline).parts(pipeline).values():
        part.requires_grad_(False)


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
        listed(model_dir, manifest, f"{part}/config.json")
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
