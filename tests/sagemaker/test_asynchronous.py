"""An asynchronous endpoint: a request waits in the bucket, is found again by its id from anywhere,
and nothing of it is left when it was answered."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest
import typer
from asked import NAME, answer
from moto_server import (
    Answer,
    Gate,
    Request,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
    no_waiting_fixture,  # noqa: F401
)

import lensa
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.hosting.asking import SagemakerServer
from lensa.backends.sagemaker.transfer import Store
from lensa.cli.generate import show
from lensa.cli.style_pack import draw_pack
from lensa.contract import GenerationRequest
from lensa.endpoint import Endpoint
from lensa.errors import AccountError, ConfigError, EndpointBusy, EndpointError, NotFoundError
from lensa.gallery import Gallery
from lensa.pending import PendingGallery

BUCKET = "avatars"
BELOW = f"lensa/async/{NAME}/"


class Aws:
    """AWS's side of one asynchronous endpoint. It is asked for its state now and then; what it does
    at the next of those times is the next of `then`. After them it draws."""

    def __init__(self, gate: Gate) -> None:
        self.instances, self.desired, self.status = 1, 1, "InService"
        self.then: list[Any] = []
        self.asked: list[dict[str, str]] = []
        gate.rules += [self._take, self._describe]
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )

    def left(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET)
        return [item["Key"] for item in listed.get("Contents", [])]

    def draw(self) -> None:
        """Answer whatever waits."""
        for asked in self.asked:
            key = asked["x-amzn-sagemaker-inputlocation"].removeprefix(f"s3://{BUCKET}/")
            if key in self.left():
                body = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                request = GenerationRequest.model_validate_json(body)
                self.leave("answers", asked, answer(request).model_dump_json())
        self.asked.clear()

    def fail(self, text: str) -> None:
        for asked in self.asked:
            self.leave("failures", asked, text)
        self.asked.clear()

    def leave(self, where: str, asked: dict[str, str], text: str) -> None:
        key = f"{BELOW}{where}/{asked['x-amzn-sagemaker-inference-id']}.out"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())

    def _take(self, request: Request) -> Answer | None:
        if request.path != f"/endpoints/{NAME}/async-invocations":
            return None
        self.asked.append(request.headers)
        id = request.headers["x-amzn-sagemaker-inference-id"]
        headers = {
            "x-amzn-sagemaker-outputlocation": f"s3://{BUCKET}/{BELOW}answers/{id}.out",
            "x-amzn-sagemaker-failurelocation": f"s3://{BUCKET}/{BELOW}failures/{id}.out",
        }
        return Answer(202, json.dumps({"InferenceId": id}), headers)

    def _describe(self, request: Request) -> Answer | None:
        if request.headers.get("x-amz-target") != "SageMaker.DescribeEndpoint":
            return None
        variant = {"CurrentInstanceCount": self.instances, "DesiredInstanceCount": self.desired}
        found = Answer(
            200,
            json.dumps(
                {
                    "EndpointStatus": self.status,
                    "FailureReason": "no reason",
                    "ProductionVariants": [{"VariantName": "AllTraffic", **variant}],
                }
            ),
            {"Content-Type": "application/x-amz-json-1.1"},
        )
        self.then.pop(0)() if self.then else self.draw()
        return found


@pytest.fixture(name="aws")
def aws_fixture(gate: Gate) -> Aws:
    return Aws(gate)


def endpoint(**changes: Any) -> Endpoint:
    """The endpoint, as a machine that knows no more than its name has it."""
    account = Account()
    options = {"asynchronous": True, "close": lambda: None, "used": lambda: None}
    store = Store(Bucket(account, BUCKET))
    options |= {"poll_seconds": 0.02, "wait_seconds": 20, **changes}
    return Endpoint("lensa-7k2m0000-1f3a9c2e", SagemakerServer(account, store, NAME, **options))


def test_many_images_are_one_request_and_nothing_of_it_is_left(aws: Aws) -> None:
    taken: list[dict[str, str]] = []
    aws.then = [lambda: taken.extend(aws.asked)]
    gallery = endpoint().generate("me", count=40, seed=3)
    assert [image.index for image in gallery] == list(range(40))
    (asked,) = taken
    assert asked["x-amzn-sagemaker-content-type"] == "application/json"
    assert asked["x-amzn-sagemaker-inputlocation"].startswith(f"s3://{BUCKET}/{BELOW}requests/")
    assert aws.left() == []


def test_from_zero_machines_the_wait_says_what_it_waits_for(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    aws.instances = aws.desired = 0
    told: list[str] = []

    def wanted() -> None:
        aws.desired = 1

    def there() -> None:
        aws.instances = 1

    aws.then = [wanted, there]
    assert len(endpoint(on_wait=told.append).generate("me in a secret place", seed=3)) == 1
    states = [
        "queued, AWS will start a machine for it",
        "waking, its machine starts",
        "it is drawn, or others are before it",
    ]
    for state in states:
        assert any(state in text for text in told)
        assert caplog.text.count(state) == 1  # once each, however often it is looked
    assert "secret place" not in caplog.text


def test_not_to_wait_and_to_find_it_again_by_its_id(aws: Aws) -> None:
    pending = endpoint().generate("me", count=3, seed=3, wait=False)
    assert not isinstance(pending, Gallery)
    assert not pending.done()
    found = endpoint().pending(pending.id)  # elsewhere
    with pytest.raises(EndpointBusy, match=rf"pending\('{NAME}', '{pending.id}'\) finds"):
        aws.then = [lambda: None] * 100
        found.wait(timeout=0.1)
    aws.draw()
    assert pending.done() and found.done()
    assert [image.index for image in found.wait()] == [0, 1, 2]
    assert aws.left() == []
    assert found.done() and len(found.wait()) == 3  # what is fetched is kept
    with pytest.raises(NotFoundError, match="was fetched before"):
        endpoint().pending(pending.id)
    for nonsense in ("../../photos", "", "0123456789abcdef"):
        with pytest.raises(NotFoundError, match="has no request"):
            endpoint().pending(nonsense)


def test_an_id_that_is_none_touches_nobodys_request(aws: Aws) -> None:
    pending = endpoint().generate("me", seed=3, wait=False)
    for nonsense in ("", "..", "/", f"../requests/{pending.id}"):
        with pytest.raises(NotFoundError):
            PendingGallery(nonsense, pending._queue).wait()
        pending._queue.forget(nonsense)
    aws.draw()
    assert len(pending.wait()) == 1


def test_a_request_without_a_seed_gets_one_before_it_is_asked(aws: Aws) -> None:
    endpoint().generate("me", count=2, wait=False)
    (key,) = (key for key in aws.left() if key.endswith("request.json"))
    sent = json.loads(aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert sent["seed"] >= 0


def test_what_the_container_refused_is_told_and_nothing_is_left(aws: Aws) -> None:
    refused = json.dumps({"error": {"type": "ConfigError", "message": "generation: steps = 0"}})
    aws.then = [
        lambda: aws.fail(f'Received client error (400) from primary with message "{refused}"')
    ]
    with pytest.raises(ConfigError, match=r"^generation: steps = 0$"):
        endpoint().generate("me", seed=3)
    assert aws.left() == []


def test_a_container_that_fails_is_told_with_its_log(aws: Aws) -> None:
    aws.then = [lambda: aws.fail('{"code": 500, "type": "X", "message": "Worker died."}')]
    with pytest.raises(EndpointError, match=rf"answered 500: Worker died\. Its log: .*{NAME}"):
        endpoint().generate("me", seed=3)


def test_a_request_whose_turn_never_came_is_told(aws: Aws) -> None:
    aws.then = [lambda: aws.fail("The request waited longer than RequestTTLSeconds.")]
    with pytest.raises(EndpointError, match=r"gave no images: The request waited longer"):
        endpoint().generate("me", seed=3)


def test_who_took_longer_than_an_hour_is_not_asked_again(aws: Aws) -> None:
    words = "Your invocation timed out while waiting for a response from container primary."
    aws.then = [lambda: aws.fail(f'Received server error (0) from primary with message "{words}"')]
    with pytest.raises(EndpointError, match=r"gave no images: .*timed out") as caught:
        endpoint().generate("me", seed=3)
    assert not isinstance(caught.value, EndpointBusy)
    assert not aws.asked


def test_a_container_without_a_place_gets_the_request_again(aws: Aws) -> None:
    busy = json.dumps({"error": {"type": "Busy", "message": "32 requests wait already."}})
    of_the_server = '{"code": 503, "type": "ServiceUnavailableException", "message": "no worker"}'
    pending = endpoint().generate("me", seed=3, wait=False)
    for words in (f"Received server error (503) from primary: {busy}", busy, of_the_server):
        (asked,) = aws.asked
        aws.fail(words)
        assert not pending.done()
        again = aws.asked[0]
        assert all(again[name] == asked[name] for name in asked if name.startswith("x-amzn-sage"))
        assert not pending.done() and len(aws.asked) == 1  # once, however often one looks
    assert len(pending.wait()) == 1
    assert aws.left() == []


@pytest.mark.parametrize(
    "kind", ["Busy", "Going", "QueueFull", "Replaced", "ShelfBusy", "TurnTooLate"]
)
def test_whatever_keeps_a_container_busy_the_request_goes_on(aws: Aws, kind: str) -> None:
    pending = endpoint().generate("me", seed=3, wait=False)
    aws.fail(json.dumps({"error": {"type": kind, "message": "ask again."}}))
    assert not pending.done() and len(aws.asked) == 1
    assert len(pending.wait()) == 1


def test_ctrl_c_takes_the_request_back(aws: Aws) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        endpoint(on_wait=interrupted).generate("me", seed=3)
    assert aws.left() == []  # for it was drawn already
    aws.then = [lambda: None]
    with pytest.raises(KeyboardInterrupt):
        endpoint(on_wait=interrupted).generate("me", seed=3)
    (asked,) = aws.asked
    id = asked["x-amzn-sagemaker-inference-id"]
    assert aws.left() == [f"{BELOW}forgotten/{id}.json"]
    with pytest.raises(NotFoundError):
        endpoint().pending(id)


@pytest.mark.parametrize("where", ["answers", "failures"])
def test_what_comes_of_a_forgotten_request_is_deleted_by_a_later_one(aws: Aws, where: str) -> None:
    pending = endpoint().generate("me", seed=3, wait=False)
    pending._queue.forget(pending.id)
    (late,) = aws.asked
    assert len(endpoint().generate("me", seed=4)) == 1
    assert aws.left() == [f"{BELOW}forgotten/{pending.id}.json"]  # it may come yet
    aws.leave(where, late, "of a person")
    assert len(endpoint().generate("me", seed=5)) == 1
    assert aws.left() == []


def test_an_answer_that_this_version_cannot_read_stays(aws: Aws) -> None:
    pending = endpoint().generate("me", seed=3, wait=False)
    (asked,) = aws.asked
    aws.leave("answers", asked, '{"of": "a later version"}')
    before = aws.left()
    for again in (pending, endpoint().pending(pending.id)):
        with pytest.raises(EndpointError, match=f"stays where it is: s3://{BUCKET}/{BELOW}answers"):
            again.wait()
    assert aws.left() == before


def test_leaving_a_request_and_looking_for_its_answer_are_uses(aws: Aws) -> None:
    uses: list[int] = []
    pending = endpoint(used=lambda: uses.append(1)).generate("me", seed=3, wait=False)
    assert len(uses) == 1
    assert not pending.done()
    assert len(uses) == 2


def test_an_answer_that_came_just_before_the_end_is_found(aws: Aws) -> None:
    pending = endpoint().generate("me", seed=3, wait=False)
    aws.status = "Deleting"  # when it is asked for its state, and has drawn
    assert len(pending.wait()) == 1


def test_an_endpoint_that_fails_while_one_waits_is_told(aws: Aws) -> None:
    aws.status = "Failed"
    aws.then = [lambda: None]
    with pytest.raises(EndpointError, match=r"is Failed \(no reason\)"):
        endpoint().generate("me", seed=3)
    assert aws.left() == []


def test_who_may_not_read_the_answer_loses_nothing(aws: Aws, gate: Gate) -> None:
    pending = endpoint().generate("me", seed=3, wait=False)
    aws.draw()

    def forbidden(request: Request) -> Answer | None:
        return Answer(403, "") if request.method == "GET" and "answers" in request.path else None

    gate.rules.insert(0, forbidden)
    with pytest.raises(AccountError, match="s3:GetObject"):
        pending.wait(timeout=1)
    gate.rules.remove(forbidden)
    assert len(pending.wait()) == 1


def test_s3_out_of_order_for_a_moment_is_waited_out(
    aws: Aws, gate: Gate, no_waiting: list[float]
) -> None:
    pending = endpoint().generate("me", seed=3, wait=False)
    aws.draw()
    refusals = [Answer(503, "")] * 15  # more than botocore's own patience

    def out_of_order(request: Request) -> Answer | None:
        if request.method == "GET" and "answers" in request.path and refusals:
            return refusals.pop()
        return None

    gate.rules.insert(0, out_of_order)
    assert len(pending.wait()) == 1
    assert not refusals and len(no_waiting) >= 10


def test_an_answer_that_cannot_be_deleted_is_an_answer_all_the_same(
    aws: Aws, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def undeletable(request: Request) -> Answer | None:
        return Answer(403, "") if request.method == "POST" and "delete" in request.query else None

    gate.rules.insert(0, undeletable)
    with caplog.at_level(logging.WARNING):
        assert len(endpoint().generate("me", seed=3)) == 1
    assert "still in the bucket" in caplog.text


def test_what_the_time_was_up_for_is_said(aws: Aws) -> None:
    pending = endpoint().generate("me", count=5, seed=3, wait=False)
    (asked,) = aws.asked
    whole = answer(GenerationRequest(prompt="me", count=5, seed=3))
    part = whole.model_copy(update={"images": whole.images[:2], "partial": True})
    aws.leave("answers", asked, part.model_dump_json())
    assert pending.wait().warnings == (
        "the time was up after 2 images: ask for the rest with index=2, count=3 and seed=3.",
    )


def leave_two_of_five(aws: Aws) -> None:
    (asked,) = aws.asked
    whole = answer(GenerationRequest(prompt="me", count=5, seed=3))
    some = whole.model_copy(update={"images": whole.images[:2], "partial": True})
    aws.leave("answers", asked, some.model_dump_json())
    aws.asked.clear()


def test_a_waiting_generate_asks_for_the_rest_itself(aws: Aws) -> None:
    lefts: list[list[str]] = []

    def rest() -> None:
        lefts.append(aws.left())
        aws.draw()

    aws.then = [lambda: leave_two_of_five(aws), rest]
    gallery = endpoint().generate("me", count=5, seed=3)
    assert [image.index for image in gallery] == [0, 1, 2, 3, 4] and not gallery.partial
    # What was drawn first stayed until the rest was there.
    assert len([key for key in lefts[0] if "answers" in key]) == 1
    assert aws.left() == []


def test_what_is_drawn_when_the_rest_fails_is_the_gallery(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    aws.then = [lambda: leave_two_of_five(aws), lambda: aws.fail('{"message": "Worker died."}')]
    gallery = endpoint().generate("me", count=5, seed=3)
    assert [image.index for image in gallery] == [0, 1] and gallery.partial
    (warning,) = gallery.warnings
    assert "ask for the rest with index=2, count=3 and seed=3" in warning
    assert "Worker died" in warning and warning in caplog.text
    assert aws.left() == []


def test_the_commands_save_what_was_drawn_and_say_that_it_is_not_all(
    aws: Aws, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fail = '{"message": "Worker died."}'
    aws.then = [lambda: leave_two_of_five(aws), lambda: aws.fail(fail)]
    gallery = endpoint().generate("me", count=5, seed=3)
    with pytest.raises(typer.Exit) as left:
        show(gallery, tmp_path / "one", json=False)
    assert left.value.exit_code == 1
    assert len(list((tmp_path / "one").iterdir())) == 2
    assert "note: 2 of 5 images were drawn" in capsys.readouterr().out

    def alive() -> None:
        """It is asked whether it serves, before it is asked for images."""

    aws.then = [alive, lambda: leave_two_of_five(aws), lambda: aws.fail(fail)]
    style = next(iter(lensa.styles().values()))
    drawn = draw_pack(nullcontext(endpoint()), "me", [style], tmp_path, count=5, seed=3)
    assert len(drawn.paths[style.name]) == 2
    assert "2 of 5 images were drawn" in drawn.failed[style.name]


def test_ctrl_c_while_the_rest_is_drawn_keeps_what_was(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    ids: list[str] = []

    def interrupt(_: str) -> None:
        if len(aws.asked) == 0:
            return  # the first part has just come
        ids.extend(key.split("/")[-1][:16] for key in aws.left() if "answers" in key)
        raise KeyboardInterrupt

    aws.then = [lambda: leave_two_of_five(aws), lambda: None]
    with pytest.raises(KeyboardInterrupt):
        endpoint(on_wait=interrupt).generate("me", count=5, seed=3)
    (id,) = ids
    assert f"lensa.pending('{NAME}', '{id}') finds it" in caplog.text
    assert len(endpoint().pending(id).wait()) == 2
