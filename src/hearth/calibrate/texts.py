"""What an encoder is shown to calibrate it: texts, several at a time, as they are computed in use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hearth.calibrate.examples import LEAST, MOST, Shown
from hearth.compiler.compile import Job
from hearth.errors import StorageError, UsageError
from hearth.image.folder import spread
from hearth.units import counted

_AT_ONCE = 8
_ENDING = ".txt"

Read = Callable[[Sequence[str]], Mapping[str, NDArray[Any]]]
"""Makes the inputs of a batch of texts."""


def texts_in(path: Path) -> tuple[str, ...]:
    """The lines of a text file, or of all .txt files in a folder, at any depth; at most as many as are looked at,
    evenly chosen.

    Raises:
        StorageError: it cannot be read, or is a folder without texts.
        UsageError: there are fewer than `LEAST` lines with words, or bytes that are no UTF-8.
    """
    if path.is_dir():
        files = sorted(each for each in path.rglob(f"*{_ENDING}") if each.is_file())
        if not files:
            raise StorageError(f"{path} has no texts.", why=f"None of its files ends in {_ENDING}.")
    else:
        files = [path]
    lines = [line.strip() for file in files for line in _text(file).splitlines()]
    found = [line for line in lines if line]
    if len(found) < LEAST:
        raise UsageError(
            f"{path} holds {counted(len(found), 'text')}.",
            why=f"Calibration needs {LEAST} or more, a line each, to tell what is usual; {MOST * _AT_ONCE} do well.",
            hint="Add some like those that the model is to read.",
        )
    return tuple(spread(found, MOST * _AT_ONCE))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text.", why=f"Byte {error.start} does not belong there.") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read.", why=f"{error.strerror or error}.") from error


@dataclass(frozen=True)
class TextExamples:
    """Texts that are looked at, `_AT_ONCE` in a batch, or fewer where there are few.

    Attributes:
        texts: all of them.
        read: how a batch of them is given to the network.
    """

    texts: tuple[str, ...]
    read: Read

    @cached_property
    def digest(self) -> str:
        """Hash of the texts."""
        whole = hashlib.sha256()
        for text in self.texts:
            whole.update(hashlib.sha256(text.encode()).digest())
        return whole.hexdigest()

    def of(self, job: Job) -> Shown:
        """Batches of texts; they are as long as they are."""
        at_once = min(_AT_ONCE, -(-len(self.texts) // LEAST))
        batches = [self.read(self.texts[begin : begin + at_once]) for begin in range(0, len(self.texts), at_once)]
        return Shown(job.network.functions[0].name, [partial(dict, batch) for batch in batches], _sizes(job, batches))


def _sizes(job: Job, batches: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, tuple[int, int]]:
    """Bounds of the open sizes: no more than the batches need."""
    function = job.network.functions[0]
    most: dict[str, int] = {}
    for param in job.network.build()[function.name].params:
        if param.name not in batches[0]:
            continue
        size = param.ty.shape[0]
        if getattr(size, "name", None) in job.network.symbols:
            most[size.name] = max(len(batch[param.name]) for batch in batches)
    return {name: (job.network.symbols[name][0], size) for name, size in most.items()}
