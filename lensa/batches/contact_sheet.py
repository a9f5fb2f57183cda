"""The page of a batch: a row a person, small pictures inside the page itself."""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from lensa.batches.outcome import Outcome

_SIDE = 128  # pixels
_MOST_IN_A_ROW = 24
_MOST = 1000  # pictures of a page: about 5 MB

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>lensa batch</title><style>
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }}
section {{ border-top: 1px solid #ccc; padding: 1em 0 }}
h2 {{ font-size: 1.1em; margin: 0 }} .failed {{ color: #a00 }} pre {{ white-space: pre-wrap }}
figure {{ display: inline-block; margin: 4px }} figcaption {{ font-size: 11px }}
</style></head><body><h1>{done} of {total} avatars</h1>
{rows}</body></html>
"""


def contact_sheet(rows: Sequence[Outcome], out: Path) -> str:
    """Return the page as HTML: whole by itself, with links to the images below `out`."""
    done = sum(row.status == "done" for row in rows)
    return _PAGE.format(done=done, total=len(rows), rows=sections(rows, out))


def sections(rows: Sequence[Outcome], out: Path) -> str:
    """Return what the page says of each row: for another page, such as a notebook's."""
    left, parts = _MOST, []
    for row in rows:
        shown = row.images[: min(_MOST_IN_A_ROW, left)]
        left -= len(shown)
        parts.append(_section(row, shown, out))
    return "\n".join(parts)


def _section(row: Outcome, shown: Sequence[str], out: Path) -> str:
    facts = [row.status, row.avatar or row.job or ""]
    facts += [f"{row.seconds / 60:.1f} min"] if row.seconds is not None else []
    facts += [f"${row.dollars:.2f}"] if row.dollars is not None else []
    more = len(row.images) - len(shown)
    parts = [
        f'<section><h2 class="{row.status}">{html.escape(row.subject)}</h2>',
        f"<p>{html.escape(', '.join(filter(None, facts)))}</p>",
        f'<pre class="failed">{html.escape(row.error)}</pre>' if row.error else "",
        *(f"<pre>{html.escape(note)}</pre>" for note in [row.missing, *row.notes] if note),
        *(_figure(path, out) for path in shown),
        f"<p>and {more} more in {html.escape(row.subject)}/</p>" if more else "",
        "</section>",
    ]
    return "".join(parts)


def _figure(path: str, out: Path) -> str:
    from PIL import Image

    try:
        with Image.open(out / path) as image:
            small = image.convert("RGB")
    except OSError:  # someone has moved it away
        return ""
    small.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    small.save(stream, "WEBP", quality=70)
    data = b64encode(stream.getvalue()).decode()
    label = html.escape("/".join(Path(path).parts[1:]))
    return (
        f'<figure><a href="{html.escape(quote(path))}">'
        f'<img src="data:image/webp;base64,{data}" alt="{label}"></a>'
        f"<figcaption>{label}</figcaption></figure>"
    )
