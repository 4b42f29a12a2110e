"""What `hearth tune` found out, kept for each model of processor and used by every later compile on it.

A record is a JSON file in Hearth's cache. It holds for the very generator of kernels that it was measured with: after a
change of those sources the numbers may be wrong, so they are not used until the model is tuned again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hearth.bundle import cpu, tuning_dir
from hearth.bundle.failures import storage_errors
from hearth.bundle.paths import write_whole
from hearth.compiler.cpu.tuning import Tuning, Tunings
from hearth.errors import CorruptFile

_VERSION = 1
_MAX_BYTES = 1 << 20
_MAX_KERNELS = 1000
_KERNEL = re.compile(r"matmul_[a-z0-9_]{1,150}")
_HINT = "Remove it with: hearth tune --reset"
# What decides how fast a product is with a certain tuning.
_GENERATOR = ("kernels/matmul.py", "kernels/weights.py", "kernels/dot.py", "kernels/builder.py", "kernels/vmath.py",
              "kernels/build.py", "targets.py", "tuning.py")  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One kernel's result.

    Attributes:
        tuning: the best one found.
        speedup: time by default / time so tuned, weighted over numbers of rows.
    """

    tuning: Tuning
    speedup: float


@dataclass(frozen=True)
class TuningRecord:
    """All results on one processor.

    Attributes:
        processor: its name.
        generator: hash of the sources that they were measured with.
        entries: by the C name of the kernel (`isa.symbol(spec.name)`).
    """

    processor: str
    generator: str
    entries: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def is_current(self) -> bool:
        """Whether it was measured with the kernels that are compiled today."""
        return self.generator == generator_hash()

    @property
    def tunings(self) -> Tunings:
        """What compiles use: nothing where the record is of another generator."""
        return {name: entry.tuning for name, entry in self.entries.items()} if self.is_current else {}

    def with_entries(self, entries: Mapping[str, Entry]) -> TuningRecord:
        """The record of today's generator with these entries in the place of those of the same names."""
        kept = self.entries if self.is_current else {}
        return TuningRecord(self.processor, generator_hash(), {**kept, **entries})


@cache
def generator_hash() -> str:
    """Hash of the sources of products."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _GENERATOR:
        digest.update(name.encode() + b"\0" + (here / name).read_bytes())
    return digest.hexdigest()[:20]


def record_path() -> Path:
    """Where the results for this processor are; the file need not exist."""
    name = cpu.processor()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:80] or "unknown"
    return tuning_dir() / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"


def read_record() -> TuningRecord:
    """The results for this processor; an empty record where there are none.

    Raises:
        CorruptFile: the file is damaged, or says what no tuning says.
    """
    path = record_path()
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return TuningRecord(cpu.processor(), generator_hash())
    except OSError as error:
        raise CorruptFile(f"{path} cannot be read.", why=str(error), hint=_HINT) from error
    try:
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        return _decode(json.loads(data))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise CorruptFile(f"{path} is damaged.", why=why, hint=_HINT) from error


def usable_tunings() -> Tunings:
    """What compiles for this machine use; nothing where the record is damaged, of another generator, or not there."""
    try:
        return read_record().tunings
    except CorruptFile:
        return {}


def write_record(record: TuningRecord) -> Path:
    """Writes the results for this processor; the file appears whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    path = record_path()
    data = {"version": _VERSION, **asdict(record)}
    with storage_errors("write", path):
        write_whole(path, json.dumps(data, indent=1) + "\n")
    return path


def remove_record() -> bool:
    """Forgets all results for this processor. Answers whether there were any.

    Raises:
        StorageError: the file cannot be removed.
    """
    path = record_path()
    with storage_errors("remove", path):
        if not path.exists():
            return False
        path.unlink()
    return True


def _decode(data: Any) -> TuningRecord:
    if not isinstance(data, dict) or data.get("version") != _VERSION:
        raise ValueError(f"it is no record of version {_VERSION}")
    processor, generator, entries = data["processor"], data["generator"], data["entries"]
    if processor != cpu.processor():
        raise ValueError("it is of another processor")
    if not isinstance(generator, str) or not isinstance(entries, dict) or len(entries) > _MAX_KERNELS:
        raise ValueError("it is no record")
    return TuningRecord(processor, generator, {_name(name): _entry(value) for name, value in entries.items()})


def _name(name: str) -> str:
    if _KERNEL.fullmatch(name) is None:
        raise ValueError(f"{name[:80]!r} is no kernel")
    return name


def _entry(value: Any) -> Entry:
    found, speedup = value["tuning"], value["speedup"]
    tile = found["tile_rows"]
    tuning = Tuning(
        prefetch_bytes=_number(found, "prefetch_bytes", 0, 1 << 20, 64),
        tile_rows=None if tile is None else _power(found, "tile_rows", 16),
        stretch_bytes=_number(found, "stretch_bytes", 1 << 10, 1 << 26, 1),
        chunk_bytes=_number(found, "chunk_bytes", 1 << 10, 1 << 26, 1),
        unroll=_power(found, "unroll", 8),
    )
    if isinstance(speedup, bool) or not isinstance(speedup, int | float) or not 0 < speedup < 1e6:
        raise ValueError(f"a speedup of {speedup!r}")
    return Entry(tuning, float(speedup))


def _number(found: Mapping[str, Any], name: str, least: int, most: int, multiple: int) -> int:
    value = found[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most or value % multiple:
        raise ValueError(f"{name} is {str(value)[:80]}")
    return value


def _power(found: Mapping[str, Any], name: str, most: int) -> int:
    value = _number(found, name, 1, most, 1)
    if value & (value - 1):
        raise ValueError(f"{name} is {value}, no power of two")
    return value
