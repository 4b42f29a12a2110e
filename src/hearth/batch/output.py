"""What a batch has answered: a file of lines, each written whole as it is finished, and whose it is.

Beside the output `OUT` lies `OUT.run.json`, which says of which input, model and settings it is the answer. A run that
was killed is found again by it: whole lines are kept, a half-written last one is dropped. One run at a time writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from hearth.bundle.failures import storage_errors
from hearth.errors import CorruptFile, UsageError

_VERSION = 1
_FULL: Final = "What is finished is kept: free some space and run the same command again."
_SYNC_EVERY_BYTES = 1 << 20


@dataclass(frozen=True)
class RunRecord:
    """What a run answers, and with what.

    Attributes:
        input_sha256: of the input.
        model: its name.
        settings: of the model, as they were given: number formats, context.
        fingerprint: of the model's files; "" until it has been open.
    """

    input_sha256: str
    model: str
    settings: dict[str, Any]
    fingerprint: str = ""

    def difference(self, other: RunRecord) -> str | None:
        """What another run would change of this one; None: nothing."""
        if self.input_sha256 != other.input_sha256:
            return "its input was another file, or has changed since"
        if self.model != other.model:
            return f"its model was {self.model}, not {other.model}"
        if self.fingerprint and other.fingerprint and self.fingerprint != other.fingerprint:
            return f"the files of the model {self.model} have changed since"
        for name, value in self.settings.items():
            if other.settings.get(name) != value:
                return f"its {name} was {value}, not {other.settings.get(name)}"
        return None


class BatchOutput:
    """The output of one run, open for more lines.

    Args:
        path: of the output.
        record: of the run that wants to write there.
        custom_ids: all that it may answer.
        restart: drop what another run has answered.

    Attributes:
        finished: custom_id -> whether it was answered without error.

    Raises:
        UsageError: the file is of another run, or another run is writing it. CorruptFile: it is damaged in its middle.
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, record: RunRecord, custom_ids: Collection[str], *, restart: bool = False) -> None:
        self.path = path
        self.finished: dict[str, bool] = {}
        self._record = record
        self._record_path = path.with_name(f"{path.name}.run.json")
        with storage_errors("write", path, hint=_FULL):
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a file.")
            self._file = path.open("a+b", buffering=0)
            try:
                _lock(self._file, path)
                if restart:
                    self._file.truncate(0)
                else:
                    self._continue(custom_ids)
                self._size = self._synced = self._file.seek(0, os.SEEK_END)
                self._write_record()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_fingerprint(self, fingerprint: str) -> None:
        """The model is open, and this is what it was made of.

        Raises:
            UsageError: what is finished was answered by other files of this name.
        """
        record = RunRecord(self._record.input_sha256, self._record.model, self._record.settings, fingerprint)
        if self.finished and (difference := self._record.difference(record)):
            raise _of_another_run(self.path, difference)
        self._record = record
        with storage_errors("write", self._record_path, hint=_FULL):
            self._write_record()

    def write(self, custom_id: str, line: dict[str, Any], *, ok: bool) -> None:
        """Appends a line. It is there whole, or not at all.

        Raises:
            StorageError: the disk is full, or worse.
        """
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
        with storage_errors("write", self.path, hint=_FULL):
            try:
                left = memoryview(data)
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                self._file.truncate(self._size)
                raise
            self._size += len(data)
            if self._size - self._synced >= _SYNC_EVERY_BYTES:
                os.fsync(self._file.fileno())
                self._synced = self._size
        self.finished[custom_id] = ok

    def close(self) -> None:
        """Brings everything to the disk."""
        if not self._file.closed:
            with storage_errors("write", self.path, hint=_FULL):
                try:
                    os.fsync(self._file.fileno())
                finally:
                    self._file.close()

    # -- what is there already ------------------------------------------------------------------------------------

    def _continue(self, custom_ids: Collection[str]) -> None:
        if self._file.seek(0, os.SEEK_END) == 0:
            return
        before = _read_record(self._record_path)
        if before is None:
            raise UsageError(
                f"{self.path} exists, and is not the output of a batch.",
                hint="Take another name for the output, or --restart to overwrite it.",
            )
        difference = before.difference(self._record)
        if difference:
            raise _of_another_run(self.path, difference)
        self._record = before
        self._read_finished(custom_ids)

    def _read_finished(self, custom_ids: Collection[str]) -> None:
        known = custom_ids if isinstance(custom_ids, (set, frozenset, dict)) else set(custom_ids)
        self._file.seek(0)
        end = 0
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            for number, data in enumerate(reader, 1):
                finished = _finished(data)
                if finished is None:
                    if reader.read(1):
                        raise CorruptFile(
                            f"{self.path} is damaged in line {number}.",
                            hint="Mend or remove the line, or begin anew with --restart.",
                        )
                    break  # it was killed while it wrote this line
                custom_id, ok = finished
                if custom_id not in known or custom_id in self.finished:
                    raise CorruptFile(
                        f"{self.path} answers {custom_id!r} in line {number}, which "
                        + ("it has answered before." if custom_id in self.finished else "nobody asked."),
                        hint="Begin anew with --restart.",
                    )
                self.finished[custom_id] = ok
                end += len(data)
        self._file.truncate(end)

    def _write_record(self) -> None:
        data = json.dumps({"version": _VERSION, **asdict(self._record)}, indent=1)
        new = self._record_path.with_name(self._record_path.name + ".new")
        try:
            new.write_text(data, encoding="utf-8")
            new.replace(self._record_path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def _read_record(path: Path) -> RunRecord | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("version") != _VERSION:
            return None
        return RunRecord(**data)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def _finished(data: bytes) -> tuple[str, bool] | None:
    """custom_id of a line, and whether it went well; None: it is not a whole line."""
    if not data.endswith(b"\n"):
        return None
    try:
        line = json.loads(data)
        custom_id, response = line["custom_id"], line["response"]
        ok = line["error"] is None and response is not None and response["status_code"] == 200
    except (ValueError, KeyError, TypeError):
        return None
    return (custom_id, ok) if isinstance(custom_id, str) else None


def _of_another_run(path: Path, difference: str) -> UsageError:
    return UsageError(
        f"{path} is the output of another run.",
        why=f"{difference[0].upper()}{difference[1:]}.",
        hint="Take another name for the output, or --restart to drop what is there.",
    )


def _lock(file: BinaryIO, path: Path) -> None:
    """Held until the file is closed, or the process is gone."""
    try:
        if os.name == "nt":
            import msvcrt

            # A byte far behind the end: locked bytes cannot be read on Windows.
            file.seek(1 << 62)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise UsageError(f"Another run is writing {path}.", hint="Wait for it, or take another name.") from error
