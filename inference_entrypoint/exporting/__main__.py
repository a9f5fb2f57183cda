"""One export: `python -m inference_entrypoint.exporting`.

Reads an ExportRequest as JSON on stdin. Its last line on stdout is a JSON object: `path`, `bytes`,
`notes` and `url`, or the error. A process of its own, because the client never imports what it
needs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_entrypoint.artifact import LORA_FILE, listed, read_manifest, verify_files
from lensa.contract import AvatarManifest
from lensa.contract.exports import ExportRequest
from lensa.errors import LensaError

if TYPE_CHECKING:
    from inference_entrypoint.exporting.push import Repository


def main() -> int:
    try:
        request = ExportRequest.model_validate_json(sys.stdin.read())
        answer = export(request)
    except LensaError as error:
        print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    print(json.dumps(answer))
    return 0


def export(request: ExportRequest) -> dict[str, Any]:
    """Make an export, push it if asked, and return what there is to say about it.

    Raises ArtifactError (of full weights there is no LoRA), BaseModelError, StorageError, and what
    a push raises.
    """
    folder = Path(request.avatar)
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    with ExitStack() as stack:
        # Asked before minutes go into the export.
        push = _repository(request)
        if request.out is not None:
            target = Path(request.out)
        else:
            aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lensa-export-")))
            target = aside / "export"
        notes = _make(request, folder, manifest, target)
        files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
        size = sum(file.stat().st_size for file in files)
        url = push.push(target, manifest, request.format) if push is not None else None
    return {"path": request.out, "bytes": size, "notes": notes, "url": url}


def _repository(request: ExportRequest) -> Repository | None:
    if request.push is None:
        return None
    from inference_entrypoint.exporting.push import Repository

    return Repository(request.push, public=request.public)


def _make(
    request: ExportRequest, folder: Path, manifest: AvatarManifest, target: Path
) -> list[str]:
    """Write the export and return what its user has to know.

    Each form imports what it needs: of a LoRA alone neither its base nor the ML stack.
    """
    precision = request.precision or "fp16"
    if request.format == "lora":
        from inference_entrypoint.exporting.describing import vae_notes
        from inference_entrypoint.exporting.lora import save_lora

        save_lora(listed(folder, manifest, LORA_FILE), target, force=request.force)
        return vae_notes(manifest)
    if request.format == "kohya":
        from inference_entrypoint.exporting.kohya import save_kohya

        source = listed(folder, manifest, LORA_FILE)
        return save_kohya(source, target, manifest, precision=precision, force=request.force)
    from inference_entrypoint.exporting.merging import merged
    from inference_entrypoint.quiet import no_bars

    no_bars()
    pipeline = merged(folder)
    if request.format == "diffusers":
        from inference_entrypoint.exporting.folder import save_folder

        save_folder(pipeline, target, precision=precision, force=request.force)
        return []
    from inference_entrypoint.exporting.checkpoint import save_checkpoint

    return save_checkpoint(
        pipeline,
        target,
        manifest=manifest,
        precision=precision,
        pickled=request.pickled,
        force=request.force,
    )


if __name__ == "__main__":
    sys.exit(main())
