"""What `lensa.styles()` returns: styles by name, which show their pictures in a notebook."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar


class Shown(Protocol):
    """What of a style is shown."""

    @property
    def name(self) -> str: ...
    @property
    def pack(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def picture(self) -> Path | None: ...


S_co = TypeVar("S_co", bound=Shown, covariant=True)


class Styles(Mapping[str, S_co]):
    """Styles by name, in the order of their packs."""

    def __init__(self, found: Mapping[str, S_co]) -> None:
        self._found = dict(found)

    def __getitem__(self, name: str) -> S_co:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def packs(self) -> dict[str, list[S_co]]:
        """The styles by pack, in the order in which the packs were read."""
        packs: dict[str, list[S_co]] = {}
        for style in self._found.values():
            packs.setdefault(style.pack, []).append(style)
        return packs

    def _repr_html_(self) -> str:
        return "".join(
            f"<h4 style='margin:8px 4px'>{html.escape(pack)}</h4><div>"
            f"{''.join(map(_figure, members))}</div>"
            for pack, members in self.packs.items()
        )

    def __repr__(self) -> str:
        packs = ", ".join(f"{pack} ({len(members)})" for pack, members in self.packs.items())
        return f"<{len(self)} styles: {packs}>"


def _figure(style: Shown) -> str:
    picture = '<div style="width:128px;height:128px;background:#eee"></div>'
    if style.picture is not None:
        # Inside the page: a notebook may be read elsewhere.
        data = b64encode(style.picture.read_bytes()).decode()
        picture = f'<img src="data:image/webp;base64,{data}" width="128" height="128">'
    return (
        '<figure style="margin:4px;width:128px;display:inline-block;vertical-align:top" '
        f'title="{html.escape(style.prompt)}">{picture}'
        f"<figcaption style='font-size:11px'>{html.escape(style.label)}<br>"
        f"<code>{html.escape(style.name)}</code></figcaption></figure>"
    )
