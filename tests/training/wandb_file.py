"""Reads a run file of W&B back: records, protobufs of wandb's own, in LevelDB's log format."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _HEADER = 32768, struct.Struct("<IHB")  # CRC, length, kind of the part
_IDENT = 7  # bytes at the beginning of the file


@dataclass
class RunFile:
    """What wandb sync would send."""

    run_id: str = ""
    host: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)  # a row a step
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    content: bytes = b""

    def rows(self) -> list[dict[str, Any]]:
        """The history as a server gets it: what belongs together is one object."""
        return [_together(row) for row in self.history]


def _together(row: dict[str, Any]) -> dict[str, Any]:
    """An image's fields follow its key: validation/0-a-photo/path."""
    images = {name.removesuffix("/_type") for name in row if name.endswith("/_type")}
    found: dict[str, Any] = {}
    for name, value in row.items():
        key, _, part = name.rpartition("/")
        if key in images:
            found.setdefault(key, {})[part] = value
        else:
            found[name] = value
    return found


def read_run(file: Path) -> RunFile:
    run = RunFile(content=file.read_bytes())
    for data in _records(run.content):
        record = Record.FromString(data)
        match record.WhichOneof("record_type"):
            case "run":
                run.run_id, run.host = record.run.run_id, record.run.host
                run.project = record.run.project
                run.config |= _items(record.run.config.update)
            case "history":
                run.history.append(_items(record.history.item))
            case "summary":
                run.summary |= _items(record.summary.update)
            case "exit":
                run.exit_code = record.exit.exit_code
    return run


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(content: bytes) -> Iterator[bytes]:
    parts, place = b"", _IDENT
    while place + _HEADER.size <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER.size:  # padding: no header fits into the rest of a block
            place += left
            continue
        crc, length, kind = _HEADER.unpack_from(content, place)
        place += _HEADER.size
        part = content[place : place + length]
        assert zlib.crc32(bytes([kind]) + part) == crc, "the run file is damaged"
        place += length
        parts += part
        if kind in {1, 4}:  # a whole record, or the last part of one
            yield parts
            parts = b""
