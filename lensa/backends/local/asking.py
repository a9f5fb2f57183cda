"""A server that is asked over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from typing import Any

from lensa.backends.waiting import WAIT_SECONDS, Wait, until_answered
from lensa.contract import GenerationRequest, GenerationResponse
from lensa.errors import ConfigError, EndpointBusy, EndpointError, TooMuchError, UserError

_ANSWER_SECONDS = 1800.0  # a full-size model on a CPU takes minutes an image


class HttpServer(ABC):
    """See `lensa.backends.base.Server`. `token`, if it asks for one, is sent along."""

    found = False

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url, self.token = url, token

    @property
    def queue(self) -> None:
        return None

    def invoke(self, request: GenerationRequest) -> GenerationResponse:
        return until_answered(lambda: self._ask(request), Wait(WAIT_SECONDS))

    @abstractmethod
    def alive(self) -> bool: ...

    def sdk(self) -> Any:
        raise ConfigError("the SDK knows the endpoints of AWS: use backend='sagemaker'.")

    def _ask(self, request: GenerationRequest) -> GenerationResponse:
        call = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{self.url}/invocations",
            data=request.model_dump_json().encode(),
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json",
                **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
            },
        )
        try:
            with urllib.request.urlopen(call, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
                return GenerationResponse.model_validate_json(answer.read())
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except OSError as error:
            state = "does not answer" if self.alive() else "has ended"
            raise EndpointError(
                f"the endpoint {state}: {error}. Deploy the avatar again."
            ) from None


def _refusal(error: urllib.error.HTTPError) -> EndpointError | UserError:
    body = error.read()
    try:
        message = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace")[:300] or str(error.reason)
    if error.code == 503:
        return EndpointBusy(message, retry_after=float(error.headers.get("Retry-After") or 1))
    if error.code == 400:
        return ConfigError(message)
    if error.code == 413:
        return TooMuchError(message)
    return EndpointError(f"the endpoint answered {error.code}: {message}", status=error.code)
