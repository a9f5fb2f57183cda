"""The bodies of requests, read into memory: no more than a share for each and a bound for all.

Five hundred connections that each send 8 MB and never end would fill 4 GB.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

from lensa.contract.generation import MAX_IMAGE

MAX_BODY = MAX_IMAGE + 100_000  # bytes; a request is a picture, a prompt and a few numbers
MAX_BODIES = 32 * MAX_BODY  # of all that are being read
SMALL = 65_536  # bytes of each that do not count: who sends no picture waits for none
_PATIENCE = 3  # times as much is still read, to be polite


class Bodies:
    """Reads the bodies of a server's requests."""

    def __init__(self, most: int = MAX_BODIES) -> None:
        self._left = most

    async def read(self, request: Request) -> bytes:
        """Return the body. Raises HTTPException to refuse it, ClientDisconnect.

        One that is a little too long is read to its end and dropped: whose connection closes while
        it still writes never gets to read why. One that is far too long is not listened to.
        """
        too_long = HTTPException(413, f"the request is longer than {MAX_BODY:,} bytes.")
        enough = HTTPException(413, too_long.detail, {"Connection": "close"})
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > _PATIENCE * MAX_BODY:
            raise enough
        body, length, taken = bytearray(), 0, 0
        try:
            async for chunk in request.stream():
                length += len(chunk)
                if length > _PATIENCE * MAX_BODY:
                    raise enough
                if length > MAX_BODY:
                    body.clear()
                    continue
                body += chunk
                more = max(0, length - SMALL) - taken
                taken += more
                self._left -= more
                if more and self._left < 0:
                    headers = {"Connection": "close", "Retry-After": "1"}
                    raise HTTPException(503, "too many large requests at a time.", headers)
        finally:
            self._left += taken
        if length > MAX_BODY:
            raise too_long
        return bytes(body)
