"""Files as read-only mapped bytes, and the errors for a file that cannot be read."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import CorruptFile, StorageError

PULL_AGAIN = "Download it again (`hearth pull`), or copy it again from its source."
MAX_JSON_BYTES = 16 << 20
MAX_TOKENIZER_BYTES = 256 << 20
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def map_file(path: Path) -> NDArray[np.uint8]:
    """The bytes of `path`, 1-D uint8, read-only and memory-mapped: nothing is read until it is touched.

    Raises:
        StorageError: the file cannot be opened.
    """
    try:
        if path.stat().st_size == 0:  # an empty file cannot be mapped
            empty = np.empty(0, dtype=np.uint8)
            empty.flags.writeable = False
            return empty
        return np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except OSError as error:
        raise cannot_read(path, error) from error


def cannot_read(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be read.",
        why=f"{error.strerror or error}.",
        hint="Check that the file exists and that you may read it.",
    )


_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def refuse_pointer(path: Path, data: bytes | NDArray[np.uint8]) -> None:
    """Raises CorruptFile where a file holds not its content but Git LFS's note where that is."""
    if bytes(data[: len(_LFS_POINTER)]) == _LFS_POINTER:
        raise CorruptFile(
            f"{path.name} is not here: the file only says where Git LFS keeps it.",
            why="The repository was cloned without Git LFS.",
            hint="Run `git lfs pull` in the folder, or bring the model with `hearth pull`.",
        )


@contextmanager
def written_by_compiler(path: Path) -> Iterator[None]:
    """Around the reading of a file that the compiler put into a bundle: content of another form is CorruptFile."""
    try:
        yield
    except (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, zipfile.BadZipFile) as error:
        why = f"{type(error).__name__}: {error}."
        raise CorruptFile(f"{path} is damaged.", why=why, hint="Compile the model again with `--force`.") from error


def truncated(path: Path, expected: int, actual: int, what: str) -> CorruptFile:
    """The error for a file that ends before what it announces; sizes in bytes."""
    return CorruptFile(
        f"{path.name} is truncated: {what} needs {expected:,} bytes, the file has {actual:,}.",
        why="The download was probably interrupted.",
        hint=PULL_AGAIN,
    )


def read_text(path: Path, limit_bytes: int) -> str:
    """A small UTF-8 text file; a byte order mark at its beginning does not count.

    Raises:
        CorruptFile: larger than `limit_bytes`, or not UTF-8.
        StorageError: the file cannot be opened.
    """
    try:
        size = path.stat().st_size
        if size > limit_bytes:
            raise CorruptFile(
                f"{path.name} is too large: {size:,} bytes.",
                why=f"Such a file has at most {limit_bytes:,} bytes.",
                hint=PULL_AGAIN,
            )
        data = path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error
    if data.startswith(_UTF16_MARKS):
        raise CorruptFile(
            f"{path.name} is UTF-16 text.",
            why="Such files are UTF-8; some Windows editors and shells save them anew like this.",
            hint="Save it as UTF-8, or download it again.",
        )
    refuse_pointer(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{path.name} is not UTF-8 text.", why=f"{error}.", hint=PULL_AGAIN) from error


def parse_json_object(text: str | bytes, name: str) -> dict[str, Any]:
    """A JSON object, strictly: no duplicate keys, no nesting that exhausts the stack, no text with half a character.
    `name` is for messages.

    Raises:
        CorruptFile: anything else.
    """
    value = _parse_json(text, name)
    if not isinstance(value, dict):
        raise CorruptFile(f"{name} is not a JSON object.", why=f"It holds a {type(value).__name__}.", hint=PULL_AGAIN)
    return value


def _parse_json(text: str | bytes, name: str) -> Any:

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in pairs:
            if key in result:
                raise ValueError(f"the key {key[:80]!r} stands twice in one object")
            result[key] = item
        return result

    data = text.encode() if isinstance(text, str) else text
    try:
        value = json.loads(data, object_pairs_hook=unique)
        if _SURROGATE_ESCAPE.search(data):  # half of a pair would be an error wherever the text goes later
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise CorruptFile(f"{name} holds half of a character.", why=f"{error.reason}.", hint=PULL_AGAIN) from error
    except RecursionError as error:
        raise CorruptFile(f"{name} is not valid JSON.", why="It is nested too deeply.", hint=PULL_AGAIN) from error
    except ValueError as error:  # also JSONDecodeError and UnicodeDecodeError
        raise CorruptFile(f"{name} is not valid JSON.", why=f"{error}.", hint=PULL_AGAIN) from error
    return value


def read_json_object(path: Path, limit_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """A JSON object from a file. Raises CorruptFile or StorageError."""
    return parse_json_object(read_text(path, limit_bytes), path.name)


def read_json_objects(path: Path, limit_bytes: int = MAX_JSON_BYTES) -> list[dict[str, Any]]:
    """A JSON list of objects from a file. Raises CorruptFile or StorageError."""
    value = _parse_json(read_text(path, limit_bytes), path.name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise CorruptFile(f"{path.name} is not a JSON list of objects.", hint=PULL_AGAIN)
    return value


def fingerprint_files(whole: Iterable[tuple[str, bytes | NDArray[np.uint8]]], weights: Iterable[Path]) -> str:
    """SHA-256 (hex) of named contents, and of the name, size and modification time of weight files."""
    digest = hashlib.sha256()

    def field(data: bytes | memoryview) -> None:
        # Each field is preceded by its length, so that no two lists of fields give the same stream of bytes.
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)

    for name, data in whole:
        field(name.encode())
        field(data if isinstance(data, bytes) else data.data)
    for path in weights:
        stat = path.stat()
        field(path.name.encode())
        field(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()
