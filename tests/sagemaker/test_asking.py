"""Asking an endpoint on SageMaker: what passes is waited for, visibly and not for ever; what does
not pass is told in the container's own words, with the place of its log.

What AWS refuses is said by a server in AWS's own form; behind it stands moto.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from asked import NAME, answer
from moto_server import (
    Answer,
    Gate,
    Request,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.hosting.asking import SagemakerServer
from lensa.backends.sagemaker.transfer import Store
from lensa.contract import GenerationRequest
from lensa.contract.asked import ATTRIBUTES_HEADER, TOO_OLD, age
from lensa.endpoint import Endpoint
from lensa.errors import (
    AccountError,
    ConfigError,
    EndpointBusy,
    EndpointError,
    NotFoundError,
    ServiceError,
    TooMuchError,
)

LOG = f"/aws/sagemaker/Endpoints/{NAME}"
ASK = GenerationRequest(prompt="me in a secret place", seed=7)


class Aws:
    """AWS's side of one endpoint: `then` are its next answers; after them it draws."""

    def __init__(self, gate: Gate) -> None:
        self.then: list[Answer] = []
        self.asked: list[GenerationRequest] = []
        self.ages: list[float | None] = []  # of the requests, by their own word
        self.most = 64  # images that one answer holds
        gate.rules.append(self._answer)

    def _answer(self, request: Request) -> Answer | None:
        if request.path != f"/endpoints/{NAME}/invocations":
            return None
        asked = GenerationRequest.model_validate_json(request.body)
        self.asked.append(asked)
        spelled = {name.lower(): value for name, value in request.headers.items()}
        attributes = spelled.get(ATTRIBUTES_HEADER.lower(), "")
        self.ages.append(age(attributes, time.time() + 1))  # it is rounded
        if self.then:
            return self.then.pop(0)
        if asked.count > self.most:
            return said(413, "TooMuchError", f"{asked.count} images are 9.1 MB")
        return Answer(200, answer(asked).model_dump_json())


def refused(code: str, message: str = "not now", status: int = 400, **fields: Any) -> Answer:
    """An error as the runtime of SageMaker writes it."""
    body = json.dumps({"Message": message, **fields})
    return Answer(status, body, {"x-amzn-ErrorType": code, "Content-Type": "application/json"})


def model_error(status: int, body: str) -> Answer:
    """What becomes of a container's answer that is not 200."""
    kind = "client" if 400 <= status < 500 else "server"
    return refused(
        "ModelError",
        f'Received {kind} error ({status}) from primary with message "{body}". See https://...',
        424,
        OriginalStatusCode=status,
        OriginalMessage=body,
        LogStreamArn=f"arn:aws:logs:eu-west-1:123456789012:log-group:{LOG}",
    )


def said(status: int, type: str, message: str) -> Answer:
    """What our own server says, through SageMaker."""
    return model_error(status, json.dumps({"error": {"type": type, "message": message}}))


@pytest.fixture(name="aws")
def aws_fixture(gate: Gate) -> Aws:
    return Aws(gate)


def server(**changes: Any) -> SagemakerServer:
    account = Account()
    options = {"asynchronous": False, "close": lambda: None, "used": lambda: None}
    store = Store(Bucket(account, "avatars"))
    return SagemakerServer(
        account, store, NAME, **{**options, "poll_seconds": 0.01, "wait_seconds": 20, **changes}
    )


def endpoint(**changes: Any) -> Endpoint:
    return Endpoint("lensa-7k2m0000-1f3a9c2e", server(**changes))


# --- what passes ---


@pytest.mark.parametrize(
    "trouble",
    [
        refused("ThrottlingException", "Rate exceeded"),
        refused("ModelNotReadyException", "The model is loading", 429),
        refused("ServiceUnavailable", "try again", 503),
        refused("InternalFailure", "oops", 500),
        refused("InternalDependencyException", "oops", 530),
        said(503, "Busy", "32 requests wait already."),
        model_error(
            503,
            '{"code": 503, "type": "ServiceUnavailableException", '
            '"message": "No worker is available to serve request: model"}',
        ),
        model_error(
            0, "Your invocation timed out while waiting for a response from container primary."
        ),
        model_error(
            500, "Amazon SageMaker could not get a response from the primary endpoint."
        ),
        model_error(500, '{"code": 500, "type": "InternalServerException", '
                         '"message": "Worker died."}'),
    ],
    ids=lambda answer: answer.body[:60],
)  # fmt: skip
def test_what_passes_is_waited_for_and_told(
    aws: Aws, trouble: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    aws.then = [trouble]
    told: list[str] = []
    assert server(on_wait=told.append).invoke(ASK).images[0].index == 0
    assert len(aws.asked) == 2
    assert aws.asked[0] == aws.asked[1]  # the same request, so the same images
    assert "the endpoint is busy, asking again in" in caplog.text
    assert len(told) == 1
    assert "secret place" not in caplog.text + told[0]


def test_each_request_says_when_it_was_asked_and_so_is_not_drawn_for_nobody(aws: Aws) -> None:
    aws.then = [said(503, "Busy", "32 requests wait already.")]
    server().invoke(ASK)
    assert len(aws.ages) == 2 and None not in aws.ages


def test_a_clock_that_is_wrong_costs_one_more_attempt_and_says_nothing_from_then_on(
    aws: Aws,
) -> None:
    """It is refused at once as if it had waited for a minute."""
    aws.then = [said(503, "Busy", TOO_OLD)]
    asking = server()
    asking.invoke(ASK)
    asking.invoke(ASK)
    assert aws.ages[0] is not None and aws.ages[1:] == [None, None]


def test_there_is_an_end_to_waiting(aws: Aws) -> None:
    aws.then = [said(503, "Busy", "32 requests wait already.")] * 1000
    with pytest.raises(EndpointBusy, match=f"(?s)32 requests wait already.*{LOG}.*asynchronous"):
        server(wait_seconds=0.05).invoke(ASK)


def test_a_fault_that_stays_is_told_after_some_attempts(aws: Aws) -> None:
    aws.then = [refused("InternalFailure", "oops", 500)] * 100
    with pytest.raises(ServiceError, match=r"AWS has a fault of its own \(InternalFailure: oops\)"):
        server().invoke(ASK)
    assert len(aws.asked) == 5


def test_a_request_that_kills_its_worker_is_not_sent_a_third_time(aws: Aws) -> None:
    died = '{"code": 500, "type": "InternalServerException", "message": "Worker died."}'
    aws.then = [model_error(500, died)] * 3
    with pytest.raises(EndpointError, match="answered 500: Worker died"):
        server().invoke(ASK)
    assert len(aws.asked) == 2


def test_who_cannot_be_reached_is_tried_again_and_then_told(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:1")
    with pytest.raises(ServiceError, match=r"asking the endpoint lensa-.* Check the network"):
        server().invoke(ASK)
    assert "Could not connect" in caplog.text


# --- what does not ---


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (said(400, "ConfigError", "generation: count = 0: ..."), ConfigError, "^generation: count"),
        (said(404, "NotFoundError", "no avatar 'x' here"), NotFoundError, "^no avatar 'x' here$"),
        (said(400, "NotFoundError", "no avatar 'x' here"), NotFoundError, "^no avatar 'x' here$"),
        (said(413, "TooMuchError", "one image is 9 MB"), TooMuchError, "^one image is 9 MB$"),
        (
            refused("ModelError", "Received server error (200) from primary and could not load the "
                    "entire response body.", 424, OriginalStatusCode=200, OriginalMessage=""),
            TooMuchError,
            "more than the 6 MB that SageMaker passes on",
        ),
        (model_error(413, ""), TooMuchError, "takes no request of this length.*asynchronous=True"),
        (
            said(500, "ArtifactError", "unet.safetensors is damaged."),
            EndpointError,
            "answered 500: unet.safetensors is damaged. Its log: " + LOG,
        ),
        (
            model_error(400, '{"code": 400, "type": "InternalServerException", "message": '
                             '"No module named lensa"}'),
            EndpointError,
            "answered 400: No module named lensa. Its log: " + LOG,
        ),
        (model_error(502, "<html>Bad Gateway"), EndpointError, "answered 502: <html>Bad Gateway"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)  # fmt: skip
def test_what_the_container_says_is_what_is_told(
    aws: Aws, answer: Answer, kind: type[Exception], text: str
) -> None:
    aws.then = [answer]
    with pytest.raises(kind, match=text) as caught:
        server().invoke(ASK)
    assert type(caught.value) is kind
    assert len(aws.asked) == 1


def test_of_words_that_were_cut_off_what_is_there_is_told(aws: Aws) -> None:
    whole = json.dumps({"error": {"type": "ConfigError", "message": "generation: é " + "x" * 3000}})
    aws.then = [model_error(400, whole[:2000])]
    with pytest.raises(ConfigError, match=r"^generation: é x+ \.\.\.$"):
        server().invoke(ASK)


def test_the_log_is_named_with_its_stream_and_a_link(aws: Aws) -> None:
    stream = "AllTraffic/i-0123456789abcdef0"
    arn = f"arn:aws:logs:eu-west-1:123456789012:log-group:{LOG}:log-stream:{stream}"
    aws.then = [refused("ModelError", "x", 424, OriginalStatusCode=500, OriginalMessage="boom",
                        LogStreamArn=arn)]  # fmt: skip
    with pytest.raises(EndpointError) as caught:
        server().invoke(ASK)
    assert f"{LOG} {stream}" in str(caught.value)
    assert (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:"
        "log-groups/log-group/$252Faws$252Fsagemaker$252FEndpoints$252F" + NAME
    ) in str(caught.value)
    assert "log-events/AllTraffic$252Fi-0123456789abcdef0" in str(caught.value)


def test_an_endpoint_that_has_ended_says_when_its_end_was(aws: Aws) -> None:
    aws.then = [refused("ValidationError", f"Endpoint {NAME} of account 123456789012 not found.")]
    end = datetime(2026, 11, 22, 3, 4, tzinfo=UTC)
    with pytest.raises(
        EndpointError, match=r"has ended \(its end was set for 2026-11-22 03:04 UTC\)"
    ):
        server(ends=lambda: end).invoke(ASK)
    assert not server().alive()


def test_credentials_that_have_expired_are_told_as_everywhere(aws: Aws) -> None:
    aws.then = [refused("ExpiredTokenException", "The security token ... is expired", 403)]
    with pytest.raises(AccountError, match=r"asking the endpoint .* credentials have expired"):
        server().invoke(ASK)
    assert len(aws.asked) == 1


def test_an_answer_that_is_none_of_ours_is_refused(aws: Aws) -> None:
    aws.then = [Answer(200, '{"generated_text": "hello"}')]
    with pytest.raises(EndpointError, match="no answer of lensa's"):
        server().invoke(ASK)


def test_an_image_that_is_too_large_to_send_is_refused_before_it_is_sent(aws: Aws) -> None:
    request = ASK.model_copy(update={"image": "A" * 7_000_000})
    with pytest.raises(ConfigError, match=r"7\.0 MB, and a real-time endpoint takes 6: begin with"):
        server().invoke(request)
    assert not aws.asked


# --- the endpoint in front of it ---


def test_what_one_answer_does_not_hold_is_asked_for_in_more_of_them(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    aws.most = 1
    gallery = endpoint().generate("me", count=5, seed=3)
    assert [image.index for image in gallery] == [0, 1, 2, 3, 4]
    assert [asked.count for asked in aws.asked] == [4, 2, 1, 1, 1, 1, 1]
    assert "asking for 2 images at a time: 4 images are 9.1 MB" in caplog.text


@pytest.mark.parametrize(
    "late",
    [
        said(500, "OSError", "no space left"),
        said(400, "NotFoundError", "No avatar 'x' is here."),
        refused("AccessDeniedException", "User ada is not authorized to perform: x"),
        Answer(200, answer(ASK).model_copy(update={"images": ()}).model_dump_json()),
    ],
    ids=lambda late: late.body[:40],
)
def test_an_error_that_comes_late_costs_none_of_what_was_drawn(aws: Aws, late: Answer) -> None:
    parts = [ASK.model_copy(update={"index": i, "count": 4}) for i in (2, 6)]
    aws.then = [*(Answer(200, answer(part).model_dump_json()) for part in parts), late]
    gallery = endpoint().generate("me", count=16, index=2, seed=3)
    assert [image.index for image in gallery] == [*range(2, 10)] and gallery.partial
    assert "8 of 16 images were drawn" in gallery.warnings[0]
    # Where to go on: with that, all of them are there.
    assert "index=10, count=8 and seed=3" in gallery.warnings[0]
    whole = gallery + endpoint().generate("me", count=8, index=10, seed=3)
    assert [image.index for image in whole] == [*range(2, 18)]


def test_an_error_that_comes_first_is_raised(aws: Aws) -> None:
    aws.then = [said(500, "OSError", "no space left")]
    with pytest.raises(EndpointError, match="no space left"):
        endpoint().generate("me", count=16, seed=3)


def test_one_image_that_is_too_much_is_told(aws: Aws) -> None:
    aws.most = 0
    with pytest.raises(TooMuchError, match=r"1 images are 9\.1 MB"):
        endpoint().generate("me", seed=3)


def test_a_real_time_endpoint_keeps_no_requests(aws: Aws) -> None:
    with pytest.raises(ConfigError, match=r"wait=False: .* deployed with asynchronous=True"):
        endpoint().generate("me", wait=False)
    with pytest.raises(ConfigError, match="asynchronous=True"):
        endpoint().pending("0123456789abcdef")
    assert not aws.asked


def test_every_use_is_told_and_a_closed_endpoint_is_not_asked(aws: Aws) -> None:
    uses: list[int] = []
    closed: list[int] = []
    with endpoint(used=lambda: uses.append(1), close=lambda: closed.append(1)) as asked:
        asked.generate("me")
        asked.generate("me")
        assert asked.url.endswith(f"/endpoints/{NAME}/invocations")
    asked.close()
    assert (len(uses), len(closed)) == (2, 1)
    with pytest.raises(EndpointError, match="was taken down"):
        asked.generate("me")


def test_an_end_that_cannot_be_moved_costs_no_image(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    def used() -> None:
        raise ServiceError("moving the end failed: AWS has a fault of its own.")

    assert len(endpoint(used=used).generate("me", count=2)) == 2
    assert "moving the end failed" in caplog.text
