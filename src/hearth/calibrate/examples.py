"""What a network is shown to calibrate it: a folder of pictures, or of arrays for networks that look at none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hearth.arrays import ARRAYS, read_arrays
from hearth.compiler.compile import Job
from hearth.errors import StorageError, Unsupported, UsageError
from hearth.image import read_image
from hearth.image.folder import ENDINGS, pictures_in, spread
from hearth.units import counted

MOST = 48
"""Examples that are looked at, of as many as there are."""
LEAST = 8
"""Fewer do not tell what is usual."""

Example = Callable[[], Mapping[str, NDArray[Any]]]
"""Gives the inputs of a function for one item, a batch of one."""


@dataclass(frozen=True)
class Shown:
    """What a network is shown.

    Attributes:
        function: that takes it.
        examples: each of them.
        sizes: bounds of open sizes, where examples differ in them; None: each is one item, of the largest size.
    """

    function: str
    examples: Sequence[Example]
    sizes: Mapping[str, tuple[int, int]] | None = None


class ToShow(Protocol):
    """Examples of one kind."""

    @property
    def digest(self) -> str:
        """Hash of what they are."""

    def of(self, job: Job) -> Shown:
        """What of them a job's network is shown.

        Raises:
            Unsupported: the network takes nothing of the kind.
        """


@dataclass(frozen=True)
class Examples:
    """The files in a folder that are looked at.

    Attributes:
        files: pictures, or files of numpy with an array for each input, each of them one example.
    """

    files: tuple[Path, ...]

    @classmethod
    def of_folder(cls, folder: Path) -> Examples:
        """At most `MOST` of what a folder holds, at any depth, evenly chosen.

        Raises:
            StorageError: it cannot be read, or holds neither pictures nor arrays.
            UsageError: it holds fewer than `LEAST`.
        """
        arrays = sorted(path for path in folder.rglob(f"*{ARRAYS}") if path.is_file()) if folder.is_dir() else []
        found = arrays or pictures_in(folder, deep=True)
        if len(found) < LEAST:
            raise UsageError(
                f"{folder} holds {counted(len(found), 'picture')}.",
                why=f"Calibration needs {LEAST} or more to tell what is usual; {MOST} do well.",
                hint="Add some like those that the model is to look at, without labels.",
            )
        return cls(tuple(spread(found, MOST)))

    @cached_property
    def digest(self) -> str:
        """Hash of what the files hold."""
        whole = hashlib.sha256()
        for path in self.files:
            try:
                whole.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise StorageError(f"{path} cannot be read.", why=f"{error.strerror or error}.") from error
        return whole.hexdigest()

    def of(self, job: Job) -> Shown:
        """Pictures as the network is given them, arrays as they are.

        Raises:
            Unsupported: the files are pictures, and the network looks at none.
        """
        if self.files[0].suffix.lower() not in ENDINGS:
            return Shown(job.network.functions[0].name, [partial(read_arrays, path) for path in self.files])
        feed = job.pictures
        if feed is None:
            raise Unsupported(
                f"{job.name} does not look at pictures, or not at one at a time.",
                hint=f"Calibrate it with arrays: files {ARRAYS} of numpy, with an array for each of its inputs.",
            )
        return Shown(feed.function, [partial(_picture, feed.inputs, path) for path in self.files])


def _picture(inputs: Callable[[NDArray[np.uint8]], Mapping[str, NDArray[Any]]], path: Path) -> Mapping[str, Any]:
    return inputs(read_image(path))
