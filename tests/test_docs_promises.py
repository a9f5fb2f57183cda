"""docs/serving.md says which test shows each promise: they exist, and no cell is without a word."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "docs" / "serving.md").read_text("utf-8")
HEAD = "| promise | our ASGI server |"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """Return the cells of the table of promises, row by row, without its head."""
    table = PAGE[PAGE.index(HEAD) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


@cache
def functions_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_each_server_keeps_a_promise_or_says_why_it_cannot_and_a_test_shows_it(
    row: list[str],
) -> None:
    assert len(row) == 3
    for cell in row[1:]:
        answer = re.match(r"yes\b|partly: \S|not possible, because \S", cell)
        assert answer, f"{cell[:60]!r} is no answer"
        assert NAMED.search(cell), f"{cell[:60]!r} names no test"


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED.findall(PAGE))))
def test_what_is_named_exists(file: str, test: str) -> None:
    assert test in functions_in(file)
