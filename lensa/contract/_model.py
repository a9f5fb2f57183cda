"""The base of every message that crosses from client to container and back."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError
from pydantic import model_validator as validates
from pydantic_core import ErrorDetails

from lensa.errors import ConfigError, suggest

# Whoever sends a hundred thousand mistakes wants us to be busy, not to be told.
_TOLD = 20  # mistakes
_MOST = 10_000  # entries of a message, or of a list or map in it; to refuse each one takes time


class Contract(BaseModel):
    """An immutable message. What is wrong with its fields is one ConfigError naming them all."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    title: ClassVar[str] = "message"  # what an error calls it

    @validates(mode="wrap")
    @classmethod
    def _refuse_in_words(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        try:
            _check_size(data)
            message = handler(data)
            message.check()
        except ValidationError as error:
            details = error.errors(include_url=False)
            lines = [cls._explain(detail) for detail in details[:_TOLD]]
            if len(details) > _TOLD:
                lines.append(f"{cls.title}: and {len(details) - _TOLD:,} more.")
            raise ConfigError("\n".join(lines)) from None
        except ValueError as error:
            raise ConfigError(f"{cls.title}: {error}") from None
        return message

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:  # what is not JSON at all never reaches the fields
            raise ConfigError(
                f"{cls.title}: {error.errors(include_url=False)[0]['msg']}."
            ) from None

    def check(self) -> None:
        """Raise ValueError, saying what to change, if the fields do not fit together."""

    @classmethod
    def _explain(cls, detail: ErrorDetails) -> str:
        field = ".".join(_cut(str(part)) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            return f"{cls.title}: unknown field {field!r}.{suggest(field, cls.model_fields)}"
        if detail["type"] == "missing":
            return f"{cls.title}: {field} is missing."
        if not field:  # not even an object
            return f"{cls.title}: {detail['msg']}."
        return f"{cls.title}: {field} = {_short(detail['input'])}: {detail['msg']}."


def _check_size(data: Any) -> None:
    """Raise ValueError if there is too much in a message to look at each part of it."""
    parts = [("it", data)]
    if isinstance(data, dict) and len(data) <= _MOST:
        parts += data.items()
    for name, part in parts:
        if isinstance(part, dict | list) and len(part) > _MOST:
            raise ValueError(f"{_cut(str(name))} has {len(part):,} entries, {_MOST:,} are read.")


def _cut(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _short(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
