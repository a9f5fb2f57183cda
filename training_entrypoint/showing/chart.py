"""The curves of a training by matplotlib, with the step that was exported marked."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from PIL import Image

from lensa.contract.measures import Choice, Measurement

Points = list[tuple[int, float]]

# Readable on white and on a dark page.
BLUE, ORANGE, RED, VIOLET, GREY = "#3b7dd8", "#d9822b", "#d64550", "#8f63c9", "#8a8a8a"

_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_INK = "#010203"  # what becomes the page's own colour of text
_WIDTH, _ROW, _DPI = 10.0, 2.5, 120  # inches, and pixels an inch


@dataclass(frozen=True)
class Curve:
    """A line. `band`: the bounds of each of its points."""

    label: str
    points: Points
    colour: str
    line: str = "-"  # as matplotlib has it
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Panel:
    title: str
    curves: list[Curve] = field(default_factory=list)


def panels(
    measurements: Sequence[Measurement], loss: Points, retention_floor: float | None = None
) -> list[Panel]:
    """Return what there is to draw: what was not measured has no panel."""

    def measured(name: str) -> Points:
        found = [(each.step, getattr(each, name)) for each in measurements]
        return [(step, value) for step, value in found if value is not None]

    retention = measured("retention")
    floor = [(step, retention_floor) for step, _ in retention] if retention_floor else []
    wanted = [
        Panel(
            "likeness to the photos",
            [
                Curve("likeness", measured("likeness"), BLUE),
                Curve("photo to photo", measured("likeness_ceiling"), GREY, "--"),
                Curve("the base model", measured("likeness_floor"), GREY, ":"),
            ],
        ),
        Panel(
            "prompts kept (1: as the base model does)",
            [
                Curve("retention", retention, ORANGE),
                Curve("floor", floor, GREY, "--"),
            ],
        ),
        Panel(
            "what must not rise",
            [
                Curve("memorisation (1: two photos)", measured("memorisation"), RED),
                Curve("class drift", measured("class_drift"), VIOLET),
            ],
        ),
        *(Panel(name.upper(), [_scored(name, measurements)]) for name in ("fid", "kid")),
        Panel("training loss", [Curve("loss", loss, BLUE)]),
    ]
    kept = [
        Panel(panel.title, [curve for curve in panel.curves if curve.points]) for panel in wanted
    ]
    return [panel for panel in kept if panel.curves]


def _scored(name: str, measurements: Sequence[Measurement]) -> Curve:
    found = [
        (each.step, interval)
        for each in measurements
        if (interval := getattr(each, name)) is not None
    ]
    return Curve(
        "against the class images",
        [(step, interval.value) for step, interval in found],
        BLUE,
        band=[(interval.low, interval.high) for _, interval in found],
    )


def as_png(
    drawn: Sequence[Panel],
    choice: Choice | None,
    strip: Mapping[int, Sequence[Image.Image]],
) -> bytes:
    """Return the chart with a strip of validation images by step below the curves."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with matplotlib.rc_context(_style("#222222")):
        figure = _figure(drawn, choice, strip, choice.reason if choice is not None else "")
        FigureCanvasAgg(figure)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": "lensa"})
    return stream.getvalue()


def as_svg(drawn: Sequence[Panel], choice: Choice | None) -> str:
    """Return the curves as a part of a page, whose colour of text they take."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with matplotlib.rc_context(_style(_INK)):
        figure = _figure(drawn, choice, {})
        FigureCanvasSVG(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata=_NO_METADATA)
    text = stream.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")


def _style(ink: str) -> dict[str, Any]:
    return {
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#8a8a8a",
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "text.color": ink,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "lensa",
    }


def _figure(
    drawn: Sequence[Panel],
    choice: Choice | None,
    strip: Mapping[int, Sequence[Image.Image]],
    title: str = "",
) -> Any:
    from matplotlib.figure import Figure

    columns = min(2, max(1, len(drawn)))
    rows = -(-len(drawn) // columns)
    above = 0.3 + (0.3 if title else 0.0)
    # Each picture is square: a strip of many is lower than one of few.
    prompts = max((len(images) for images in strip.values()), default=0)
    side = min(1.6, _WIDTH / max(1, len(strip)))
    below = 0.5 + prompts * side if strip else 0.0
    high = above + rows * _ROW + below
    figure = Figure(figsize=(_WIDTH, high))
    # Fixed margins: to have them found would take half of the time.
    across = {"left": 0.055, "right": 0.99}
    if drawn:
        bottom = (below + 0.45) / high
        grid = figure.add_gridspec(
            rows, columns, **across, bottom=bottom, top=1 - above / high, hspace=0.5, wspace=0.12
        )
    last = max((curve.points[-1][0] for panel in drawn for curve in panel.curves), default=0)
    for number, panel in enumerate(drawn):
        row, column = divmod(number, columns)
        alone = number + 1 == len(drawn) and column == 0  # in its row: it gets all of it
        axes = figure.add_subplot(grid[row, :] if alone else grid[row, column])
        _draw(axes, panel, choice)
        axes.set_xlim(-0.03 * last, 1.03 * last + 1)
    if title:
        figure.suptitle(
            "\n".join(wrap(title, 120)[:2]),
            x=0.01,
            y=1 - 0.08 / high,
            ha="left",
            va="top",
            fontsize=10,
        )
    if strip:
        place = figure.add_gridspec(
            prompts,
            len(strip),
            left=0.01,
            right=0.99,
            bottom=0.05 / high,
            top=(below - 0.45) / high,
            hspace=0.08,
            wspace=0.06,
        )
        _strip(figure, place, choice, strip)
    return figure


def _draw(axes: Any, panel: Panel, choice: Choice | None) -> None:
    for curve in panel.curves:
        steps, values = zip(*curve.points, strict=True)
        # A point alone, or a few, would not be seen as a line.
        marker = "o" if len(steps) <= 40 and curve.line == "-" else None
        axes.plot(
            steps,
            values,
            label=curve.label,
            color=curve.colour,
            linestyle=curve.line,
            linewidth=1.8 if curve.line == "-" else 1.3,
            marker=marker,
            markersize=3.5,
        )
        if curve.band:
            low, high = zip(*curve.band, strict=True)
            axes.fill_between(steps, low, high, color=curve.colour, alpha=0.2, linewidth=0)
    if choice is not None:
        axes.axvline(choice.step, color=RED, linewidth=1.4, label=f"step {choice.step}, exported")
    axes.set_title(panel.title)
    axes.set_xlabel("step")
    axes.legend(loc="best")


def _strip(
    figure: Any, place: Any, choice: Choice | None, strip: Mapping[int, Sequence[Image.Image]]
) -> None:
    for column, (step, images) in enumerate(sorted(strip.items())):
        exported = choice is not None and choice.step == step
        marked = {"color": RED} if exported else {}
        for row, image in enumerate(images):
            axes = figure.add_subplot(place[row, column])
            axes.imshow(image)
            axes.grid(visible=False)
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(exported)
                spine.set(linewidth=2, **marked)
            if row == 0:
                title = f"step {step}" + (", exported" if exported else "")
                axes.set_title(title, fontsize=8, loc="center", **marked)
