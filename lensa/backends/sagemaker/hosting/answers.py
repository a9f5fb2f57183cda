"""What goes to an endpoint and what comes back, as bytes."""

from __future__ import annotations

from lensa.contract import GenerationRequest, GenerationResponse
from lensa.errors import ConfigError, EndpointError

JSON = "application/json"


def request_body(request: GenerationRequest) -> bytes:
    return request.model_dump_json(exclude_none=True).encode()


def read_answer(content: bytes, endpoint: str) -> GenerationResponse:
    """Return an answer; EndpointError if it is none of ours."""
    try:
        return GenerationResponse.model_validate_json(content)
    except ConfigError as error:
        raise EndpointError(
            f"the endpoint {endpoint} answered something that is no answer of lensa's: {error} "
            "Another version of lensa may have deployed it; deploy the avatar again."
        ) from None
