"""Rows out of YAML: a list of mappings, each with the line that it begins on.

The tree is looked at before anything is made of it: aliases can make a page stand for terabytes,
and a subject called `no` is not false.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.batches.columns import TEXTS, column_name
from lensa.batches.raw import RawRow
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from yaml import Node, SafeLoader

_MOST_PARTS = 100_000  # with every alias written out


def yaml_rows(path: Path, text: str) -> list[RawRow]:
    """Return the rows. Raises ConfigError for what is not YAML, or is no list of rows."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        tree = loader.get_single_node()
        if tree is not None and _parts(path, tree, {}) > _MOST_PARTS:
            raise ConfigError(f"{path}: with its aliases written out it is too large: leave some.")
        return list(_rows(path, loader, tree))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{where}: it is not plain YAML: {problem}.") from None
    except ValueError as error:  # a date or a number that there is none of
        raise ConfigError(f"{path}: it is not plain YAML: {error}.") from None
    except RecursionError:
        raise ConfigError(f"{path}: it is nested too deeply: a batch is a list of rows.") from None
    finally:
        loader.dispose()


def _parts(path: Path, node: Node, counted: dict[int, int]) -> int:
    """Return how many nodes there are with every alias written out; ConfigError for a circle."""
    known = counted.get(id(node))
    if known == 0:
        line = node.start_mark.line + 1
        raise ConfigError(f"{path}, line {line}: a part of the YAML holds itself.")
    if known is None:
        counted[id(node)] = 0
        children = node.value if isinstance(node.value, list) else []
        flat = (one for child in children for one in _pair(child))
        known = 1 + sum(_parts(path, one, counted) for one in flat)
        counted[id(node)] = known
    return known


def _pair(child: Any) -> tuple[Any, ...]:
    return child if isinstance(child, tuple) else (child,)  # of a mapping: key and value


def _rows(path: Path, loader: SafeLoader, tree: Node | None) -> Iterator[RawRow]:
    import yaml

    if tree is None:
        return
    if not isinstance(tree, yaml.SequenceNode):
        raise ConfigError(f"{path}: it is to be a list: a '- subject: ...' for each person.")
    for node in tree.value:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}, line {line}: a row is a mapping: subject: ..., photos: ...")
        own = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        names = [column_name(name) if isinstance(name, str) else "" for name in own]
        if "" in names:
            raise ConfigError(f"{path}, line {line}: a field's name is a word.")
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"{path}, line {line}: {twice[0]!r} is there twice.")
        loader.flatten_mapping(node)  # "<<: *defaults": what it brings stands before the row's own
        cells = {
            column_name(key.value): _value(loader, key.value, node) for key, node in node.value
        }
        yield RawRow(line, {name: cell for name, cell in cells.items() if cell is not None})


def _value(loader: SafeLoader, name: str, node: Node) -> Any:
    import yaml

    if column_name(name) in TEXTS:
        if isinstance(node, yaml.ScalarNode):
            bare = node.style is None
            empty = bare and node.tag == "tag:yaml.org,2002:null"
            return None if empty else node.value
        if isinstance(node, yaml.SequenceNode):
            return [_value(loader, name, one) for one in node.value]
    return loader.construct_object(node, deep=True)
