"""`lensa generate AVATAR --styles ...`: the same words in many styles."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.errors import LensaError

if TYPE_CHECKING:
    from lensa.endpoint import Endpoint
    from lensa.gallery import Gallery
    from lensa.prompts.styles import Style


@dataclass
class Drawn:
    """What came of it, by the name of the style."""

    galleries: dict[str, Gallery] = field(default_factory=dict)
    paths: dict[str, list[Path]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        said = [warning for gallery in self.galleries.values() for warning in gallery.warnings]
        return list(dict.fromkeys(said))

    def to_json(self) -> dict[str, Any]:
        return {
            "styles": [
                {
                    "style": name,
                    "images": [str(path) for path in self.paths[name]],
                    "prompts": [image.prompt for image in gallery],
                    "seeds": [image.seed for image in gallery],
                }
                for name, gallery in self.galleries.items()
            ],
            "failed": self.failed,
            "warnings": self.warnings,
            "seconds": round(sum(gallery.seconds for gallery in self.galleries.values()), 3),
        }


def draw_pack(
    at_hand: AbstractContextManager[Endpoint],
    prompt: str,
    chosen: Sequence[Style],
    out: Path,
    **fields: Any,
) -> Drawn:
    """Draw the prompt in every style, on one endpoint that is at hand, into a folder a style.

    A style that fails is told in `failed`, and the others are drawn all the same. Raises
    ConfigError for a request that cannot be sent, StorageError if `out` cannot be written.
    """
    from lensa.gallery import make_writable
    from lensa.requests import make_request

    for style in chosen:
        # Refused before anything starts. Which avatar is meant is the endpoint's to say.
        make_request(prompt, style=style.name, **{**fields, "avatar": None})
    make_writable(out)
    drawn = Drawn()
    with _bar(len(chosen)) as show, at_hand as endpoint:
        for number, style in enumerate(chosen):
            show(number, style.label)
            if not endpoint.alive():
                drawn.failed[style.name] = "not drawn: the endpoint has ended."
                continue
            try:
                gallery = endpoint.generate(prompt, style=style.name, **fields)
                drawn.paths[style.name] = gallery.save(out / style.name)
                drawn.galleries[style.name] = gallery
                if gallery.partial:
                    drawn.failed[style.name] = gallery.warnings[-1]
            except LensaError as error:
                drawn.failed[style.name] = str(error)
        show(len(chosen), "")
    return drawn


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int, str], None]]:
    """Show a bar on stderr if that is a terminal; yield what moves it on."""
    if not sys.stderr.isatty():
        yield lambda done, label: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:>3.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=total)
        yield lambda done, label: bar.update(task, completed=done, description=label)
