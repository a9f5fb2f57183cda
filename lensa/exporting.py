"""An avatar into files that other programs open. The work is a process's of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from lensa import errors
from lensa.backends.local.children import child_environment, entrypoint, require_ml_stack
from lensa.contract import AvatarManifest
from lensa.contract.exports import FORMATS, ExportFormat, ExportPrecision, ExportRequest
from lensa.errors import ConfigError, LensaError, StorageError, suggest

_STOP_SECONDS = 15


@dataclass(frozen=True)
class Export:
    """What an export made: files that stand by themselves, a repository on the hub, or both."""

    format: ExportFormat
    path: Path | None  # None: it was pushed, and nothing is kept here
    size: int  # bytes
    url: str | None = None
    notes: list[str] = field(default_factory=list)  # what may surprise
    usage: list[str] = field(default_factory=list)  # where it goes, and what to write there


def export(
    manifest: AvatarManifest,
    folder: Path,
    format: str,
    out: str | os.PathLike[str] | None = None,
    *,
    precision: str | None = None,
    ckpt: bool = False,
    force: bool = False,
    push: str | None = None,
    public: bool = False,
    consent: bool = False,
) -> Export:
    """Export the avatar in `folder`; see Avatar.export and Avatar.push.

    Raises UserError before anything is started, then ArtifactError or ServiceError.
    """
    form = _format(manifest, format)
    if push is not None and manifest.config.of_people and not consent:
        raise ConfigError(
            f"pushing to {push} hands on the likeness of a person: ask them, then say so with "
            "--consent (in Python: consent=True)."
        )
    path = None
    if out is not None or push is None:
        path = _target(Path(out) if out is not None else Path(), manifest, form, ckpt)
    request = ExportRequest(
        avatar=str(folder),
        format=form,
        out=None if path is None else str(path),
        precision=_precision(precision),
        pickled=ckpt,
        force=force,
        push=push,
        public=public,
    )
    if path is not None and path.exists() and not force:
        raise StorageError(f"{path} is there already: choose another --out, or give --force.")
    require_ml_stack(manifest.config.base)
    answer = _run(request)
    return Export(
        format=form,
        path=path,
        size=int(answer["bytes"]),
        url=answer["url"],
        notes=list(answer["notes"]),
        usage=usage(manifest, form, path) if path is not None else [],
    )


def default_format(manifest: AvatarManifest, *, push: bool = False) -> ExportFormat:
    """Return what most will want: for programs on a machine, or for the hub's."""
    if manifest.config.method == "full":
        return "diffusers" if push else "checkpoint"
    return "lora" if push else "kohya"


def usage(manifest: AvatarManifest, format: ExportFormat, path: Path) -> list[str]:
    """Return where an export goes and what to write there, a line each."""
    config = manifest.config
    prompt = config.fill(config.instance_prompt)
    base = config.base.location if config.base.source == "hub" else config.base.name
    if format == "kohya":
        return [
            f"AUTOMATIC1111: into models/Lora; prompt: <lora:{path.stem}:1> {prompt}",
            f"ComfyUI: into models/loras, node Load LoRA; prompt: {prompt}",
            f"with the base {base}, or one finetuned from it",
        ]
    if format == "checkpoint":
        return [
            f"AUTOMATIC1111: into models/Stable-diffusion; prompt: {prompt}",
            f"ComfyUI: into models/checkpoints, node Load Checkpoint; prompt: {prompt}",
        ]
    if format == "diffusers":
        return [f"StableDiffusionPipeline.from_pretrained({str(path)!r}); prompt: {prompt}"]
    place = f"{str(path.parent)!r}, weight_name={path.name!r}"
    return [
        f"diffusers: pipeline.load_lora_weights({place}); prompt: {prompt}",
        f"with a pipeline of the base {base}, or of one finetuned from it",
    ]


def _format(manifest: AvatarManifest, format: str) -> ExportFormat:
    known = get_args(ExportFormat)
    if format not in known:
        raise ConfigError(f"unknown export format {format!r}.{suggest(format, known)}")
    own = FORMATS[manifest.config.method]
    for form in own:
        if form == format:
            return form
    raise ConfigError(
        f"avatar {manifest.avatar} was trained with full weights, and has no LoRA to export. It "
        f"has: {', '.join(own)}."
    )


def _precision(precision: str | None) -> ExportPrecision | None:
    known = get_args(ExportPrecision)
    for one in known:
        if one == precision:
            return cast(ExportPrecision, one)
    if precision is None:
        return None
    raise ConfigError(f"unknown precision {precision!r}.{suggest(precision, known)}")


def _target(out: Path, manifest: AvatarManifest, format: ExportFormat, ckpt: bool) -> Path:
    """Return the file or folder to make: `out`, or inside it, under a name of its own, if that is
    a folder and no model."""
    out = out.expanduser().resolve()
    if out.is_dir() and not (format == "diffusers" and (out / "model_index.json").is_file()):
        suffix = "" if format == "diffusers" else ".ckpt" if ckpt else ".safetensors"
        return out / f"{manifest.avatar}-{format}{suffix}"
    return out


def _run(request: ExportRequest) -> dict[str, Any]:
    child = subprocess.Popen(
        entrypoint("inference_entrypoint.exporting"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(Path("/opt/ml")),
    )
    try:
        out, err = child.communicate(request.model_dump_json())
    except BaseException:
        child.send_signal(signal.SIGINT)  # it takes back what it has begun to write
        with suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=_STOP_SECONDS)
        child.kill()
        raise
    try:
        answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        if child.returncode == 130:
            raise KeyboardInterrupt from None
        lines = err.strip().splitlines() or [f"it ended with code {child.returncode}"]
        raise LensaError(f"the export failed: {lines[-1]}") from None
    if "error" in answer:
        kind = getattr(errors, answer["error"]["type"], LensaError)
        raise kind(answer["error"]["message"])
    return answer
