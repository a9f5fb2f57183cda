"""What goes to an endpoint and what comes back, as bytes."""

from __future__ import annotations

from lensa.contract import GenerationRequest, GenerationResponse
from lensa.errors import ConfigError, EndpointError

JSON = "application/json"


class UnreadableAnswer(EndpointError):
    """What came is no answer that this version of lensa knows. Another one may."""


def request_body(request: GenerationRequest) -> bytes:
    return request.model_dump_json(exclude_none=True).encode()


def read_answer(content: bytes, endpoint: str) -> GenerationResponse:
    """Return an answer; UnreadableAnswer if it is none of ours."""
    try:
        return GenerationResponse.model_validate_json(content)
    except ConfigError as error:
        raise UnreadableAnswer(
            f"the endpoint {endpoint} answered something that is no answer of lensa's: {error} "
            "Another version of lensa may have deployed it; deploy the avatar again."
        ) from None
