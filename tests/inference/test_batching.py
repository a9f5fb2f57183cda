"""Requests that wait together are drawn together, and each is answered as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from making import CPU, difference
from many import id_of, numbered, renumber

from inference_entrypoint.batching import Batcher
from inference_entrypoint.drawing import TimeUp
from inference_entrypoint.library import Library
from inference_entrypoint.order import Order, Result
from lensa.contract import GenerationRequest
from lensa.errors import LensaError

RANKS = {0: 4, 1: 4, 2: 8}  # avatar -> its LoRA's


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    root = tmp_path_factory.mktemp("avatars")
    made = Library(resident=3, **CPU)
    for number, rank in RANKS.items():
        made.add(
            numbered(root / str(number), number, lora_rank=rank, train_text_encoder=number > 0)
        )
    for number in (3, 4):
        numbered(root / str(number), number)
        made.add(renumber(root / str(number), number))
    return made


def request(avatar: int = 0, **fields: Any) -> GenerationRequest:
    own = {"prompt": "me as a pirate", "seed": 5, "steps": 3, "avatar": id_of(avatar)}
    return GenerationRequest(**{**own, **fields})


class Ends:
    """What became of the orders of a batcher, by number, in the order of their ends."""

    def __init__(self, batcher: Batcher, library: Library) -> None:
        self.batcher, self.library = batcher, library
        self.outcomes: dict[int, Result | Exception] = {}
        self.batches: list[int] = []

    def add(self, *requests: GenerationRequest, **hooks: Any) -> None:
        for asked in requests:
            number = len(self.outcomes) + len(self.batcher)
            self.batcher.add(
                self.library.order(asked),
                lambda outcome, number=number: self.outcomes.update({number: outcome}),
                **hooks,
            )

    def run(self) -> dict[int, Result | Exception]:
        while len(self.batcher):
            self.batches.append(self.batcher.advance())
        return self.outcomes


@pytest.fixture
def ends(library: Library) -> Iterator[Ends]:
    yield Ends(Batcher(8, resident=library.resident), library)


def assert_as_alone(library: Library, asked: Sequence[GenerationRequest], ends: Ends) -> None:
    for number, one in enumerate(asked):
        outcome, alone = ends.outcomes[number], library.generate(one)
        assert isinstance(outcome, Result)
        assert outcome.prompts == alone.prompts and outcome.indices == alone.indices
        for image, other in zip(outcome.images, alone.images, strict=True):
            assert difference(image, other) <= 1


def test_prompts_seeds_avatars_and_scales_stand_side_by_side(library: Library, ends: Ends) -> None:
    asked = [
        request(0),
        request(1, prompt="me in a red hat", seed=8),
        request(2, seed=9, count=2, index=3),
        request(0, adapter_scale=0.4),
        request(1, prompt="a castle", subject=False, blend={id_of(2): 0.7}),
    ]
    ends.add(*asked)
    ends.run()
    assert ends.batches == [6]
    assert_as_alone(library, asked, ends)
    pictures = [ends.outcomes[number].images[0].tobytes() for number in ends.outcomes]  # type: ignore[union-attr]
    assert len(set(pictures)) == 5  # else it would prove nothing


def test_what_differs_in_kind_is_drawn_in_its_turn(library: Library, ends: Ends) -> None:
    asked = [
        request(0),
        request(1, width=64),
        request(2, scheduler="euler"),
        request(0, guidance_scale=1),
        request(0, seed=6),
    ]
    ends.add(*asked)
    ends.run()
    assert ends.batches == [2, 1, 1, 1]
    assert list(ends.outcomes) == [0, 4, 1, 2, 3]
    assert_as_alone(library, asked, ends)


def test_a_short_order_does_not_wait_for_the_end_of_a_long_one(ends: Ends) -> None:
    ends.add(request(0, count=20))
    ends.batches.append(ends.batcher.advance())
    ends.add(request(1, seed=2))
    ends.batches.append(ends.batcher.advance())
    assert list(ends.outcomes) == [1] and ends.batches == [8, 8]
    ends.run()
    assert ends.batches == [8, 8, 5]


def test_no_batch_needs_more_avatars_than_memory_holds(library: Library, ends: Ends) -> None:
    asked = [request(number) for number in (0, 1, 2, 3, 4, 0)]
    ends.add(*asked)
    ends.run()
    assert ends.batches == [4, 2]  # 0, 1, 2 and 0 again; then 3 and 4
    assert_as_alone(library, asked, ends)


def test_whoever_leaves_does_not_take_the_others_along(library: Library, ends: Ends) -> None:
    class Gone(Exception):
        pass

    def leave(done: int, of: int) -> None:
        if done == 2:
            raise Gone

    ends.add(request(0))
    ends.add(request(1), on_step=leave)
    ends.run()
    assert isinstance(ends.outcomes[1], Gone)
    assert_as_alone(library, [request(0)], ends)


def test_a_batch_for_nobody_ends_at_once(ends: Ends) -> None:
    steps: list[int] = []

    def leave(done: int, of: int) -> None:
        steps.append(done)
        if done:
            raise RuntimeError

    ends.add(request(0, steps=50), request(1, steps=50), on_step=leave)
    ends.run()
    assert max(steps) == 1 and ends.batches == [0]


def test_a_failure_is_only_one_orders(library: Library, ends: Ends) -> None:
    ends.add(request(0), request(1), request(2))
    broken = ends.batcher._places[1].order
    for index, job in enumerate(broken.jobs):
        nothing = torch.full_like(job.conditioning.prompt, float("nan"))
        conditioning = type(job.conditioning)(nothing, job.conditioning.negative)
        broken.jobs[index] = type(job)(conditioning, job.seed, job.index, adapters=job.adapters)
    ends.run()
    assert isinstance(ends.outcomes[1], LensaError) and "NaN" in str(ends.outcomes[1])
    assert isinstance(ends.outcomes[0], Result) and isinstance(ends.outcomes[2], Result)


def test_when_the_time_is_up_what_is_drawn_is_the_answer(library: Library, ends: Ends) -> None:
    def until_ten(done: int, of: int) -> None:
        if done >= 10 * 3:
            raise TimeUp

    ends.add(request(0, count=12), on_step=until_ten)
    (outcome,) = ends.run().values()
    assert isinstance(outcome, Result) and outcome.partial
    assert outcome.indices == list(range(8))
    assert not library.generate(request(0)).partial


def test_nothing_drawn_when_the_time_is_up_is_no_answer(ends: Ends) -> None:
    def at_once(done: int, of: int) -> None:
        raise TimeUp

    ends.add(request(0), on_step=at_once)
    (outcome,) = ends.run().values()
    assert isinstance(outcome, TimeUp)


def test_images_are_told_as_they_come(ends: Ends) -> None:
    seen: list[tuple[int, ...]] = []

    def hear(order: Order, positions: Sequence[int]) -> None:
        seen.append(tuple(positions))

    ends.add(request(0, count=12), on_images=hear)
    ends.run()
    assert seen == [tuple(range(8)), tuple(range(8, 12))]


def test_who_waits_beside_a_batch_may_leave_or_run_out_of_time_meanwhile(ends: Ends) -> None:
    drawn: list[int] = []
    gone: list[int] = []

    def leave(done: int, of: int) -> None:
        if drawn and drawn[-1] >= 2:
            gone.append(drawn[-1])
            raise TimeUp

    ends.add(request(0, steps=5), on_step=lambda done, of: drawn.append(done))
    ends.add(request(1, width=64), on_step=leave, on_begin=lambda: gone.append(-1))
    ends.batcher.advance()
    assert gone == [2]  # before the first one's batch was done, and without a turn of its own
    assert isinstance(ends.outcomes[1], TimeUp) and isinstance(ends.outcomes[0], Result)


def test_a_blend_with_a_dora_is_drawn_as_if_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Its norms scale what the others add: side by side they could not."""
    root = tmp_path_factory.mktemp("blends")
    library = Library(resident=4, **CPU)
    for number in (0, 1):
        library.add(numbered(root / str(number), number))
    library.add(numbered(root / "2", 2, dora=True))
    ends = Ends(Batcher(8, resident=4), library)
    asked = [request(number, blend={id_of(2): 0.8}) for number in (0, 1)]
    ends.add(*asked, request(0), request(1))
    ends.run()
    assert ends.batches == [1, 1, 2]
    assert_as_alone(library, asked, ends)
