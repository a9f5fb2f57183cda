"""From a trained pipeline to an avatar: files, proof that they load, images, then the manifest."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict

from inference_entrypoint.avatars import Avatar, load_avatar
from lensa.contract import MANIFEST, AvatarManifest, Choice, FileRecord, Layout, TrainingConfig
from lensa.contract.consent import Consent
from lensa.contract.environment import CONSENT
from training_entrypoint.deadline import Deadline
from training_entrypoint.gallery import draw_gallery
from training_entrypoint.hardware import DTYPES
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest
from training_entrypoint.trainable import ADAPTER, Trainable
from training_entrypoint.validation import sample_requests
from training_entrypoint.watchdog import check_not_black

_LIBRARIES = (
    "accelerate",
    "bitsandbytes",
    "diffusers",
    "huggingface_hub",
    "peft",
    "safetensors",
    "torch",
    "transformers",
)


def save_weights(pipeline: Any, trainable: Trainable, folder: Path, dtype: torch.dtype) -> None:
    """Write what was trained: a LoRA in diffusers' form, or the whole modules."""
    folder.mkdir(parents=True)
    if trainable.config.method == "lora":
        layers = {
            f"{name}_lora_layers": get_peft_model_state_dict(module, save_embedding_layers=False)
            for name, module in trainable.modules.items()
        }
        # Without it a reader takes alpha for equal to the rank, and the adapter is off by a factor.
        metadata = {
            f"{name}_lora_adapter_metadata": _told(module.peft_config[ADAPTER].to_dict())
            for name, module in trainable.modules.items()
        }
        pipeline.save_lora_weights(folder, **layers, **metadata)
        return
    for name, module in trainable.modules.items():
        module.to(dtype).save_pretrained(folder / name, safe_serialization=True)


def _told(settings: dict[str, Any]) -> dict[str, Any]:
    """Return an adapter's settings as everybody may read them: without the folder of this machine
    that the base was loaded from, and sets in one order."""
    settings = settings | {"base_model_name_or_path": None}
    return {key: sorted(v) if isinstance(v, set) else v for key, v in settings.items()}


def write_manifest(folder: Path, manifest: AvatarManifest) -> AvatarManifest:
    """Write `avatar.json` with the records of every other file in the folder."""
    files = tuple(
        _record(path, folder)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    )
    manifest = manifest.model_copy(update={"files": files})
    partial = folder / f".{MANIFEST}.partial"  # where one is already, it is whole all along
    try:
        partial.write_text(manifest.model_dump_json(indent=2))
        partial.replace(folder / MANIFEST)
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def describe(
    config: TrainingConfig,
    *,
    avatar: str,
    base_revision: str,
    photo_digests: tuple[str, ...],
    precision: str,
    steps: int,
    token_pieces: tuple[int, ...],
    vae_revision: str | None,
    choice: Choice | None = None,
) -> AvatarManifest:
    """Return the manifest, still without files."""
    return AvatarManifest(
        avatar=avatar,
        base_revision=base_revision,
        photo_digests=photo_digests,
        config=config,
        precision=precision,
        seed=config.seed,
        steps_trained=steps,
        trained_at=datetime.now(UTC),
        versions={name: _version(name) for name in _LIBRARIES},
        sample_prompts=tuple(config.fill(prompt) for prompt in config.validation_prompts),
        files=(),
        token_pieces=token_pieces,
        vae_revision=vae_revision,
        consent=_consent(),
        choice=choice,
    )


def _consent() -> Consent | None:
    text = os.environ.get(CONSENT)
    return Consent.model_validate_json(text) if text else None


def prove_and_sample(
    folder: Path, manifest: AvatarManifest, base: Path | None, stop: StopRequest
) -> Avatar:
    """Load the avatar from its files as an endpoint would, draw its samples with it, return it.

    A LoRA whose keys do not match fails here, in the job that made it, and the samples are what
    the endpoint answers to the same requests.
    """
    write_manifest(folder, manifest)
    with stop.at_once():
        avatar = load_avatar(folder, override=base)
    requests = sample_requests(manifest.config)
    images = [avatar.generate(request, on_step=stop.check).images[0] for request in requests]
    check_not_black(images, "drawn with the finished avatar")
    for index, image in enumerate(images):
        target = folder / "samples" / f"{index}.png"
        target.parent.mkdir(exist_ok=True)
        image.save(target)
    return avatar


def publish(folder: Path, layout: Layout, manifest: AvatarManifest) -> None:
    """Move the avatar into the model folder, its manifest last: half an avatar is none."""
    write_manifest(folder, manifest)
    layout.model.mkdir(parents=True, exist_ok=True)
    (layout.model / MANIFEST).unlink(missing_ok=True)
    for stale in layout.model.iterdir():  # of an export that was cut off
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    entries = sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST)
    for entry in entries:
        shutil.move(entry, layout.model / entry.name)


def export(
    pipeline: Any,
    trainable: Trainable,
    layout: Layout,
    manifest: AvatarManifest,
    base: Path | None,
    stop: StopRequest,
    report: Report,
    deadline: Deadline,
    *,
    before_gallery: bool = False,
    show: Callable[[Path, AvatarManifest], None] = lambda folder, manifest: None,
) -> None:
    """Write the avatar into the model folder. The pipeline is of no use afterwards. `show` adds
    what is to be seen to its files.

    Raises Stopped, with no avatar written, if a stop was requested. With `before_gallery` the
    avatar is written as soon as it is proven: no end of the gallery, nor of the job, costs it.
    """
    staging = layout.root / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        stop.check()
        save_weights(pipeline, trainable, staging, DTYPES[manifest.precision])
        trainable.modules.clear()
        del pipeline
        gc.collect()
        torch.cuda.empty_cache()
        avatar = prove_and_sample(staging, manifest, base, stop)
        show(staging, manifest)
        if before_gallery:
            publish(staging, layout, manifest)
        folder = layout.model if before_gallery else staging
        try:
            draw_gallery(avatar, folder, layout.gallery, report, stop, deadline)
        finally:
            if before_gallery:
                _list_gallery(folder, manifest, report)
        if not before_gallery:
            publish(staging, layout, manifest)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _list_gallery(folder: Path, manifest: AvatarManifest, report: Report) -> None:
    """Write the manifest of a published avatar anew, with the images that there are now."""
    if not manifest.config.gallery:
        return
    try:
        write_manifest(folder, manifest)
    except OSError as error:  # the manifest that is there holds, and knows of no image
        report.notice(f"the images of the gallery cannot be listed in {MANIFEST}: {error}")


def _record(path: Path, root: Path) -> FileRecord:
    return FileRecord(
        path=path.relative_to(root).as_posix(), size=path.stat().st_size, sha256=_sha256(path)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
