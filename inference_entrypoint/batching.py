"""Orders drawn side by side: those that wait together, in the order in which they came.

Images of one batch may be of several requests, with prompts, seeds and avatars of their own. After
each batch those that came meanwhile take part, and each order ends as soon as its own images are
there. It is one order's ill luck alone if it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from inference_entrypoint.drawing import Drawing, OnStep, TimeUp
from inference_entrypoint.modes import evaluating
from inference_entrypoint.order import Order, Result

OnBegin = Callable[[], None]
# (order, the positions that are new among its images)
OnImages = Callable[[Order, Sequence[int]], None]
OnEnd = Callable[[Result | Exception], None]


class _NobodyWaits(Exception):
    """Whoever this batch is for is gone."""


@dataclass(eq=False)
class _Place:
    order: Order
    on_begin: OnBegin
    on_step: OnStep  # (steps done, of): those of all its images together
    on_images: OnImages
    on_end: OnEnd
    begun: bool = False
    alone: bool = False  # in company, a batch failed

    def check(self, *_: int) -> None:
        """Call `on_step`, that it may end the order where no step of its own was done."""
        steps = self.order.settings.steps
        self.on_step(self.order.drawn * steps, len(self.order.jobs) * steps)


class Batcher:
    """Draws orders of one pipeline. One thread at a time may use it."""

    def __init__(self, batch_size: int = 4, *, resident: int | None = None) -> None:
        """`batch_size`: images that are drawn together, at most. `resident`: how many adapters the
        pipeline holds at a time, at most."""
        self._batch_size, self._resident = batch_size, resident
        self._places: list[_Place] = []
        self._drawing: Drawing | None = None
        self._for: object = None  # what the orders of the latest batch had alike

    def __len__(self) -> int:
        """How many orders are not yet at their end."""
        return len(self._places)

    def add(
        self,
        order: Order,
        on_end: OnEnd,
        on_step: OnStep = lambda *_: None,
        on_images: OnImages = lambda *_: None,
        on_begin: OnBegin = lambda: None,
    ) -> None:
        """Take an order in. `on_begin` hears that its first batch begins, `on_end` of its result or
        of the exception that ended it, which may be one that the others raised. `on_step` is called
        while it waits, too."""
        self._places.append(_Place(order, on_begin, on_step, on_images, on_end))

    @torch.no_grad()
    def advance(self) -> int:
        """Draw one batch for the oldest order and for those that fit beside it; return how many
        images that were."""
        for place in list(self._places):
            self._try(place, place.check)
        if not self._places:
            return 0
        pipeline = self._places[0].order.pipeline
        with evaluating(pipeline):
            shares = self._shares()
            for place in list(shares):
                if not self._try(place, place.order.make_ready):
                    del shares[place]
            return self._draw(shares) if shares else 0

    def _shares(self) -> dict[_Place, list[int]]:
        """Return the positions to draw now: of orders that may share a batch, in turn."""
        first = self._places[0]
        group = [first]
        if not first.alone:
            group += [
                place
                for place in self._places[1:]
                if not place.alone
                and place.order.pipeline is first.order.pipeline
                and place.order.alike == first.order.alike
            ]
        shares: dict[_Place, list[int]] = {}
        adapters: Collection[str] = frozenset()
        left = self._drawing_for(first).batch_size
        turn = 0
        while left and any(len(place.order.waiting) > turn for place in group):
            for place in group:
                if not left or len(place.order.waiting) <= turn:
                    continue
                with_it = place.order.adapters.union(adapters)
                if shares and self._resident is not None and len(with_it) > self._resident:
                    continue
                shares.setdefault(place, []).append(place.order.waiting[turn])
                adapters = with_it
                left -= 1
            turn += 1
        return shares

    def _drawing_for(self, place: _Place) -> Drawing:
        """Return the drawing, which remembers what the GPU holds: a new one for other sizes."""
        order = place.order
        alike = (order.pipeline, order.alike)
        if self._drawing is None or self._for != alike:
            self._drawing, self._for = Drawing(order.pipeline, self._batch_size), alike
        return self._drawing

    def _draw(self, shares: dict[_Place, list[int]]) -> int:
        places = list(shares)
        drawing = self._drawing_for(places[0])
        drawing.notes = []
        jobs = [place.order.jobs[position] for place in places for position in shares[place]]
        gone: set[_Place] = set()
        for place in places:
            if not place.begun:
                place.begun = True
                place.on_begin()

        def on_step(done: int, of: int) -> None:
            for place in [place for place in self._places if place not in shares]:
                self._try(place, place.check)  # who waits may leave, and its time may be up
            for place in places:
                if place in gone:
                    continue
                order = place.order
                steps = order.settings.steps
                begun = round(len(shares[place]) * steps * done / of)
                of_all = len(order.jobs) * steps
                if not self._try(place, place.on_step, order.drawn * steps + begun, of_all):
                    gone.add(place)
            if len(gone) == len(places):
                raise _NobodyWaits

        try:
            images = drawing.draw(jobs, places[0].order.settings, on_step)
        except _NobodyWaits:
            return 0
        except Exception as error:
            for place in places:
                if len(places) > 1:
                    place.alone = True  # whose fault it is will be seen
                elif place not in gone:
                    self._end(place, error)
            return 0
        left = iter(images)
        own = {place: [next(left) for _ in shares[place]] for place in places}
        # Whose images are looked at again comes last: nobody waits for that.
        for place in sorted(places, key=lambda place: place.order.looks_again):
            if place not in gone:
                self._try(place, self._keep, place, shares[place], own[place], drawing)
        return len(images)

    def _keep(
        self,
        place: _Place,
        positions: Sequence[int],
        images: Sequence[Image.Image],
        drawing: Drawing,
    ) -> None:
        order = place.order
        order.keep(positions, images, drawing, place.check)
        order.notes += drawing.notes
        order.waiting = [position for position in order.waiting if position not in positions]
        place.on_images(order, positions)
        if not order.waiting:
            self._end(place, order.result())

    def _try(self, place: _Place, act: Callable[..., object], *arguments: object) -> bool:
        """Call something for an order; whether that went well. If not, it is the order's end."""
        try:
            act(*arguments)
        except TimeUp as up:
            self._end(place, place.order.result() if place.order.drawn else up)
            return False
        except Exception as error:
            self._end(place, error)
            return False
        return True

    def _end(self, place: _Place, outcome: Result | Exception) -> None:
        self._places.remove(place)
        place.on_end(outcome)


def draw_alone(order: Order, batch_size: int = 4, on_step: OnStep | None = None) -> Result:
    """Return the images of one order. Raises what ends it: of `on_step`, too."""
    outcomes: list[Result | Exception] = []
    batcher = Batcher(batch_size)
    batcher.add(order, outcomes.append, on_step or (lambda *_: None))
    while not outcomes:
        batcher.advance()
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
