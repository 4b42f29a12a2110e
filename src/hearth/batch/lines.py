"""What a batch asks: a file of lines `{"custom_id", "method", "url", "body"}`, checked whole before anything runs.

Owns the form of the input. What is in a body is the server's to judge: a body that it refuses gets the server's error
as its answer. Only where each line lies is kept in memory, so that a file may be large.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from hearth.bundle.failures import storage_errors
from hearth.errors import UsageError
from hearth.server.errors import ApiError
from hearth.server.limits import check_json

URLS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
MAX_LINE_BYTES: Final = 64 << 20
MAX_CUSTOM_ID: Final = 512
_MAX_DEPTH = 66  # of a body, and the line around it
_TOLD = 10  # problems, of however many there are
_BOM = b"\xef\xbb\xbf"
_FIELDS = frozenset({"custom_id", "method", "url", "body"})


@dataclass(frozen=True)
class Entry:
    """One request of a batch.

    Attributes:
        line: its number, from 1.
        offset, size_bytes: where the line lies in the file.
    """

    line: int
    custom_id: str
    url: str
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class BatchInput:
    """A batch that was found to be in order.

    Attributes:
        sha256: of the whole file.
        model: that the bodies name; None where none of them names one, or they name several.
        models: all that they name.
    """

    path: Path
    sha256: str
    entries: tuple[Entry, ...]
    models: tuple[str, ...]

    @property
    def model(self) -> str | None:
        return self.models[0] if len(self.models) == 1 else None

    def body(self, entry: Entry) -> dict[str, Any]:
        """What is asked.

        Raises:
            UsageError: the file is another one by now. StorageError: it cannot be read.
        """
        with storage_errors("read", self.path, hint=""), self.path.open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size_bytes)
        try:
            line = json.loads(data.decode().removeprefix("\ufeff"))
            if line["custom_id"] != entry.custom_id:
                raise ValueError
            body: dict[str, Any] = line["body"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path} has changed while it was worked on (line {entry.line}).") from error
        return body


def read_batch(path: Path) -> BatchInput:
    """Reads and checks a batch.

    Raises:
        UsageError: lines are not in order; names the first ones. StorageError: the file cannot be read.
    """
    reader = _Reader()
    with storage_errors("read", path, hint=""), path.open("rb") as file:
        reader.read(file)
    if reader.num_problems:
        more = reader.num_problems - len(reader.problems)
        raise UsageError(
            f"{path} is not a batch that can be run: {_lines(reader.num_problems)} not in order.",
            why="\n     ".join(reader.problems + ([f"... and {more} more."] if more else [])),
            hint='Each line is {"custom_id": "any-1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}.',
        )
    if not reader.entries:
        raise UsageError(f"{path} has no requests.")
    return BatchInput(path, reader.hash.hexdigest(), tuple(reader.entries), tuple(reader.models))


@dataclass
class _Reader:
    """What has been seen of a file."""

    hash: Any = field(default_factory=hashlib.sha256)
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    num_problems: int = 0
    models: dict[str, None] = field(default_factory=dict)  # in order
    _first_line: dict[str, int] = field(default_factory=dict)  # of each custom_id

    def read(self, file: BinaryIO) -> None:
        offset = 0
        for number, data in enumerate(_lines_of(file), 1):
            self.hash.update(data)
            if data.removeprefix(_BOM).strip():
                try:
                    self._take(number, offset, data)
                except _Problem as problem:
                    self.num_problems += 1
                    if len(self.problems) < _TOLD:
                        self.problems.append(f"line {number}: {problem}")
            offset += len(data)

    def _take(self, number: int, offset: int, data: bytes) -> None:
        line = _parsed(data.removeprefix(_BOM) if number == 1 else data)
        custom_id, url, body = _checked(line)
        first = self._first_line.setdefault(custom_id, number)
        if first != number:
            raise _Problem(f"custom_id {_short(custom_id)} stands in line {first} already.")
        model = body.get("model")
        if isinstance(model, str):
            self.models[model] = None
        self.entries.append(Entry(number, custom_id, url, offset, len(data)))


class _Problem(Exception):
    """What is wrong with a line."""


def _lines_of(file: BinaryIO) -> Iterator[bytes]:
    while data := file.readline(MAX_LINE_BYTES + 1):
        yield data


def _parsed(data: bytes) -> Mapping[str, Any]:
    if len(data) > MAX_LINE_BYTES:
        raise _Problem(f"is longer than {MAX_LINE_BYTES >> 20} MiB.")
    try:
        check_json(data, _MAX_DEPTH)
        line = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise _Problem(f"is not UTF-8 (byte {error.start + 1}).") from error
    except json.JSONDecodeError as error:
        raise _Problem(f"is not JSON: {error.msg} at character {error.pos + 1}.") from error
    except ApiError as error:
        raise _Problem(error.message.removeprefix("The body ")) from error
    except RecursionError as error:
        raise _Problem("nests too deep.") from error
    except ValueError as error:  # a number of thousands of digits
        raise _Problem("is not JSON: a number in it is too long.") from error
    if not isinstance(line, dict):
        raise _Problem("is not an object.")
    return line


def _checked(line: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]]:
    """custom_id, url and body."""
    for name in ("custom_id", "url", "body"):
        if name not in line:
            raise _Problem(f"has no {name}.")
    unknown = sorted(line.keys() - _FIELDS)
    if unknown:
        raise _Problem(f"{_short(unknown[0])} is not a field of a batch.")
    custom_id, url, body = line["custom_id"], line["url"], line["body"]
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        raise _Problem(f"custom_id must be a text of 1 to {MAX_CUSTOM_ID} characters.")
    if line.get("method", "POST") != "POST":
        raise _Problem(f"method must be POST, not {_short(line['method'])}.")
    if url not in URLS:
        raise _Problem(f"url must be one of {', '.join(URLS)}, not {_short(url)}.")
    if not isinstance(body, dict):
        raise _Problem("body must be an object.")
    if body.get("stream"):
        raise _Problem("body.stream: the answers of a batch come whole.")
    return custom_id, url, body


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"
