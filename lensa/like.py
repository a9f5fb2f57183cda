"""A request read back from an image that was made by one: for the same image again, or one like it.

What is read is written by `inference_entrypoint.encode`, in the form of AUTOMATIC1111's web UI: the
prompt, the line "Negative prompt: ...", and a last line of settings, "Steps: 20, Sampler: ...".
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from lensa.contract.generation import GeneratedImage, GenerationRequest
from lensa.errors import ConfigError

__all__ = ["request_like"]

Source = str | Path | GeneratedImage | Image.Image

_MAX_TEXT = 200_000  # characters; a request's two prompts have 10,000 each
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286

_FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[IO[bytes]], Image.Image]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), WebPImageFile),
)

_NEGATIVE = "Negative prompt"
_SCHEDULERS = {  # by A1111's names
    "DDIM": "ddim",
    "DDIM trailing": "ddim-trailing",
    "DPM++ 2M": "dpm++",
    "DPM++ 2M Karras": "dpm++-karras",
    "Euler": "euler",
    "LCM": "lcm",
}
_FIELDS = {  # what is taken over as it is; the contract says what it may be
    "Steps": "steps",
    "CFG scale": "guidance_scale",
    "Seed": "seed",
    "Index": "index",
    "Adapter scale": "adapter_scale",
    "Avatar": "avatar",
    "Few step": "few_step",
}


def request_like(source: Source, *, image: str | Path | bytes | None = None) -> GenerationRequest:
    """Return the request that makes an image again; its `avatar` is the one that the file names.

    `source` is a PNG, JPEG or WebP that lensa made, as a file or opened. `image` is the one that it
    was begun with, if it was, byte for byte as it was sent: see lensa.requests.packed. Nothing is
    filled in anew: the prompt is the one that the text encoder saw. What A1111 made is followed as
    far as its settings have names here; the image will be another one.

    The fields that are set, `request.model_dump(exclude_unset=True)`, are those to hand on; whether
    unsafe images may pass is not among them. Raises ConfigError if the file has no parameters or is
    damaged, or if `image` is missing or another one.
    """
    name = str(source) if isinstance(source, str | Path) else "the image"
    text, format = _read(source, name)
    prompt, negative, settings = _parts(text)
    if not {"Steps", "Seed"} <= settings.keys():
        raise _without_parameters(name)
    fields: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative, "count": 1}
    fields |= {field: settings[key] for key, field in _FIELDS.items() if key in settings}
    # A1111 guides every step, and so does what was written without a word about it.
    fields["guided"] = settings.get("Guided", "1")
    fields["tiny_decoder"] = settings.get("Tiny decoder") == "True"
    fields["face_detail"] = settings.get("Face detail") == "True"
    fields["subject"] = settings.get("Subject") != "False"
    if size := re.fullmatch(r"(\d{1,6})x(\d{1,6})", settings.get("Size", "")):
        fields["width"], fields["height"] = size.groups()
    if blend := settings.get("Blend"):
        parts = [part.strip().rpartition(":") for part in blend.split(",")]
        fields["blend"] = {other: scale for other, _, scale in parts}
    if scheduler := _scheduler(settings, name):
        fields["scheduler"] = scheduler
    if format in ("png", "jpeg", "webp"):
        fields["format"] = format
    fields |= _beginning(settings, image, name)
    try:
        return GenerationRequest(**fields)
    except ConfigError as error:
        raise ConfigError(f"{name}: its parameters cannot be used. {error}") from None


def _scheduler(settings: dict[str, str], name: str) -> str | None:
    sampler = settings.get("Sampler", "")
    if sampler == "DPM++ 2M" and settings.get("Schedule type") in ("Karras", "Automatic"):
        return "dpm++-karras"  # as A1111 writes it since 1.9
    if sampler in _SCHEDULERS:
        return _SCHEDULERS[sampler]
    if "Index" not in settings:
        return None  # one of A1111's that have no name here
    if re.fullmatch(r"[A-Za-z]{1,80}Scheduler", sampler):
        return "default"  # the base's own is called by its class
    raise ConfigError(
        f"{name}: sampler {sampler[:40]!r} is not known: it was made by another version of lensa."
    )


def _beginning(
    settings: dict[str, str], image: str | Path | bytes | None, name: str
) -> dict[str, Any]:
    """Return the fields of the image that `name` was begun with, which it holds the hash of."""
    wanted = settings.get("Init image hash")
    if wanted is None:
        if image is not None:
            raise ConfigError(f"{name} was not begun with an image: leave that out.")
        return {}
    wanted = wanted[:64]
    if image is None:
        raise ConfigError(
            f"{name} was begun with an image, whose sha256 begins with {wanted}: give that as well."
        )
    if not isinstance(image, bytes):
        image, shown = _content(Path(image)), str(image)
    else:
        shown = "the image given"
    digest = hashlib.sha256(image).hexdigest()
    if digest[: len(wanted)] != wanted.lower() or not wanted:
        raise ConfigError(
            f"{name} was begun with another image than {shown}: its sha256 begins with {wanted}, "
            f"and this one's with {digest[:16]}."
        )
    encoded = base64.b64encode(image).decode()
    strength = settings.get("Denoising strength")
    return {"image": encoded} | ({} if strength is None else {"strength": strength})


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no file has such a name
        raise _unreadable(path, error) from None


def _read(source: Source, name: str) -> tuple[str, str]:
    """Return the parameters' text and the file's format; ConfigError if there are none."""
    with ExitStack() as opened:
        try:
            if isinstance(source, Image.Image):
                image = source
            else:
                image = opened.enter_context(_opened(source, opened, name))
            text = _text(image)
        except ConfigError:
            raise
        except OSError as error:
            if error.errno is not None:
                raise _unreadable(name, error) from None
            raise _damaged(name) from None
        except Exception:  # decoders raise all sorts of things, from struct.error to SyntaxError
            raise _damaged(name) from None
        format = (image.format or "").lower()
    if not text or len(text) > _MAX_TEXT:
        raise _without_parameters(name)
    return text, format


def _opened(source: str | Path | GeneratedImage, opened: ExitStack, name: str) -> Image.Image:
    """Return the image with its header read; no pixel is decoded."""
    stream: IO[bytes]
    if isinstance(source, GeneratedImage):
        stream = BytesIO(source.content())
    else:
        stream = opened.enter_context(Path(source).open("rb"))  # noqa: SIM115 - closed with it
    head = stream.read(16)
    stream.seek(0)
    for signature, opener in _FORMATS:
        if signature.match(head):
            return opener(stream)
    raise ConfigError(f"{name} is no PNG, JPEG or WebP: give the image file as lensa wrote it.")


def _text(image: Image.Image) -> str | None:
    text = image.info.get("parameters")
    if isinstance(text, str):
        return text
    comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if not isinstance(comment, bytes):
        return None
    code, rest = comment[:8], comment[8:]  # Exif 2.3, 4.6.5: the first 8 bytes say what follows
    if code == b"UNICODE\0":
        return rest.decode("utf-16" if rest[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-be")
    return rest.decode("ascii") if code == b"ASCII\0\0\0" else None


def _parts(text: str) -> tuple[str, str, dict[str, str]]:
    """Return prompt, negative prompt and settings of A1111's text."""
    *lines, last = text.rstrip("\n").split("\n")
    settings = _settings(last)
    start = next((i for i, line in enumerate(lines) if line.startswith(f"{_NEGATIVE}:")), None)
    prompt = "\n".join(lines[:start])
    negative = "" if start is None else "\n".join(lines[start:])[len(_NEGATIVE) + 1 :].strip()
    # A prompt that cannot stand on a line is a setting as well; A1111 takes that one, too.
    return settings.pop("Prompt", prompt), settings.pop(_NEGATIVE, negative), settings


def _settings(line: str) -> dict[str, str]:
    """Read "Key: value, Key: "a, \\"quoted\\" value"" in one pass, however long and odd it is."""
    found: dict[str, str] = {}
    place = 0
    while (colon := line.find(":", place)) >= 0:
        key = line[place:colon].strip()
        place = colon + 1
        while line[place : place + 1] == " ":
            place += 1
        value, after = _quoted(line, place)
        if value is None:
            comma = line.find(",", place)
            after = comma if comma >= 0 else len(line)
            value = line[place:after].strip()
        found[key] = value
        place = after + 1  # past the comma
    return found


def _quoted(line: str, place: int) -> tuple[str | None, int]:
    """Return the JSON string that begins at `place`, if a whole one does, and where it ends."""
    if line[place : place + 1] != '"':
        return None, place
    try:
        value, after = json.JSONDecoder().raw_decode(line, place)
    except ValueError:
        return None, place
    return cast(str, value), after


def _without_parameters(name: str) -> ConfigError:
    return ConfigError(
        f"{name} has no parameters: it was not made by lensa, or they were stripped. "
        "Give the file as lensa wrote it."
    )


def _damaged(name: str) -> ConfigError:
    return ConfigError(f"{name} is incomplete or damaged: give the file as lensa wrote it.")


def _unreadable(name: object, error: Exception) -> ConfigError:
    return ConfigError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.")
