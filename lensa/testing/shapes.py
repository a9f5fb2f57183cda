"""What botocore's own validation leaves to AWS: enums, patterns, lengths and ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from lensa.testing.answers import AwsError
from lensa.testing.models import service_model


def check_input(service: str, operation: str, parameters: dict[str, Any]) -> None:
    """Raise the ValidationException with which AWS refuses the parameters, if it does."""
    model = service_model(service)
    if model is None or operation not in model.operation_names:
        return
    shape = model.operation_model(operation).input_shape
    problems = list(_problems(shape, parameters, "")) if shape is not None else []
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
        raise AwsError("ValidationException", count + "; ".join(problems))


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for name in shape.required_members:
            if value.get(name) is None:
                yield _said("null", _join(path, name), "Member must not be null")
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _problems(member, value[name], _join(path, name))
    elif kind == "list" and isinstance(value, list):
        yield from _sizes(shape, value, path)
        for number, item in enumerate(value, 1):
            yield from _problems(shape.member, item, f"{path}.{number}.member")
    elif kind == "map" and isinstance(value, dict):
        yield from _sizes(shape, value, path)
        for key, item in value.items():
            yield from _inside_map(shape.key, key, value, path, "keys")
            yield from _inside_map(shape.value, item, value, path, "value")
    elif kind == "string" and isinstance(value, str):
        yield from (_said(f"'{value}'", path, rule) for rule in _broken_by(shape, value))
    elif kind in {"integer", "long", "float", "double"} and isinstance(value, int | float):
        yield from (_said(f"'{value}'", path, rule) for rule in _out_of(shape, value))


def _inside_map(shape: Any, item: Any, whole: Any, path: str, what: str) -> Iterator[str]:
    if shape.type_name == "string" and isinstance(item, str):
        rules = list(_broken_by(shape, item))
        if rules:
            yield _said(f"'{whole}'", path, f"Map {what} must satisfy constraint: {rules}")
    else:
        yield from _problems(shape, item, path)


def _said(value: str, path: str, rule: str) -> str:
    return f"Value {value} at '{path}' failed to satisfy constraint: {rule}"


def _join(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _sizes(shape: Any, value: Any, path: str) -> Iterator[str]:
    yield from (_said(f"'{value}'", path, rule) for rule in _lengths(shape, len(value)))


def _broken_by(shape: Any, text: str) -> Iterator[str]:
    yield from _lengths(shape, len(text))
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(text):
        yield f"Member must satisfy regular expression pattern: {pattern}"
    enum = shape.metadata.get("enum")
    if enum and text not in enum:
        yield f"Member must satisfy enum value set: [{', '.join(enum)}]"


def _lengths(shape: Any, length: int) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and length < low:
        yield f"Member must have length greater than or equal to {low}"
    if high is not None and length > high:
        yield f"Member must have length less than or equal to {high}"


def _out_of(shape: Any, number: float) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and number < low:
        yield f"Member must have value greater than or equal to {low}"
    if high is not None and number > high:
        yield f"Member must have value less than or equal to {high}"


# Java's classes and anchors, which Python's re lacks, by the nearest that it has.
_JAVA = (
    (r"[\p{Print}]", r"[\x20-\x7e]"),
    (r"\p{Print}", r"[\x20-\x7e]"),
    (r"\p{ASCII}", r"[\x00-\x7f]"),
    (r"\p{L}", r"\w"),  # these stand inside [...]
    (r"\p{Z}", r"\s"),
    (r"\p{N}", r"\d"),
    (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010ffff"),
    (r"\z", r"\Z"),
)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA:
        pattern = pattern.replace(java, python)
    return re.compile(pattern)
