"""Adapters (LoRA) of an open model: what a user calls them, where they are, and how they come into a session.

Adapters lie in a session beside each other, so requests choose one of them and none is loaded for that. A model is
compiled with room for adapters that change the same matrices as those that it is opened with.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.checkpoint.adapter import open_adapter
from hearth.engine import AdapterTable
from hearth.errors import Unsupported, UsageError
from hearth.hub import ProgressCallback, resolve_adapter
from hearth.model.text.adapter_places import AdapterPlaces, load_places
from hearth.model.text.adapters import RANKS, adapter_state, dtype_of_units, pack_units
from hearth.runtime import SplitTextSession, TextSession

AdaptersGiven = Mapping[str, str | os.PathLike[str] | tuple[str | os.PathLike[str], float]]
"""By their names: where each is, or that and how much it counts."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_SCALE = re.compile(r"(?P<rest>.+):(?P<scale>[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)", re.ASCII)


@dataclass(frozen=True)
class AdapterSource:
    """An adapter as a user names it.

    Attributes:
        name: by which requests ask for it.
        path: where it is on this disk.
        scale: how much it counts, beside its own scale.
    """

    name: str
    path: Path
    scale: float


def parse_adapter(text: str) -> tuple[str, str, float]:
    """Name, place and scale of `NAME=PATH:SCALE`; without NAME it is the end of the place, without SCALE 1.

    Raises:
        UsageError: there is no place, or no name follows from it.
    """
    name, given, place = text.partition("=")
    if not given:
        name, place = "", text
    match = _SCALE.fullmatch(place)
    place, scale = (match["rest"], float(match["scale"])) if match else (place, 1.0)
    if not place:
        raise UsageError(f"{text!r} names no adapter.", hint="--lora NAME=PATH, --lora NAME=owner/name:0.5")
    if not name:
        last = re.split(r"[/\\]", place.rstrip("/\\"))[-1]
        name = re.sub(r"[^\w.-]", "-", last.partition(":")[0].partition("@")[0].removesuffix(".gguf"))
    return name, place, scale


def given_adapters(texts: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Several of `parse_adapter`, by name. Raises UsageError where two have one."""
    found: dict[str, tuple[str, float]] = {}
    for text in texts:
        name, place, scale = parse_adapter(text)
        if name in found:
            raise UsageError(f"Two adapters are called {name!r}.", hint="Name them: --lora one=PATH --lora two=PATH")
        found[name] = place, scale
    return found


def find_adapters(
    given: AdaptersGiven, *, offline: bool = False, progress: ProgressCallback | None = None
) -> tuple[AdapterSource, ...]:
    """Adapters on this disk, downloaded if need be.

    Raises:
        UsageError: a name or a scale is none.
        ModelNotFound, NetworkError, ...: as `hub.resolve_adapter`.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"adapters is {str(given)[:100]!r}, but must say by names where adapters are.")
    found = []
    for name, what in given.items():
        both = what if isinstance(what, tuple) else (what, 1.0)
        if len(both) != 2 or not isinstance(both[0], str | os.PathLike):
            raise UsageError(
                f"The adapter {str(name)[:100]!r} is {str(what)[:100]!r}, but must be a place, or a place and a scale."
            )
        place, scale = both
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(
                f"{str(name)[:100]!r} is no name for an adapter.", why="It has letters, digits, '-', '_' and '.' alone."
            )
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
            raise UsageError(f"The scale of the adapter {name!r} is {scale!r}, but must be a number.")
        path = resolve_adapter(os.fspath(place), offline=offline, progress=progress)
        found.append(AdapterSource(name, path.absolute(), float(scale)))
    return tuple(found)


def units_of(sources: Sequence[AdapterSource]) -> int:
    """Units that a session needs to hold adapters together. Raises as `open_adapter`."""
    return sum(-(-open_adapter(source.path).rank // RANKS) for source in sources)


class Adapters:
    """The adapters of a session.

    Args:
        session: with room for them, where there are to be any.
        folder: of the bundle.

    Attributes:
        table: which there are.
    """

    def __init__(self, session: TextSession | SplitTextSession, folder: Path) -> None:
        self._session = session
        self._places: AdapterPlaces | None = load_places(folder)
        self.table = AdapterTable(session.num_adapters if self._places else 0)

    def add(self, source: AdapterSource) -> None:
        """Reads an adapter into the session.

        Raises:
            Unsupported, CorruptFile: as `AdapterPlaces.read`.
            NotEnoughMemory, UsageError: as `AdapterTable.add`.
        """
        if self._places is None:
            raise Unsupported(
                "This model was compiled without room for adapters.",
                hint="Open it from its source with the adapters it is to have; a bundle is as it was compiled.",
            )
        adapter = open_adapter(source.path)
        deltas = self._places.read(adapter, source.scale)
        sizes = {state.name: state.unit_bytes for state in self._session.model.info.states}
        packed = {}
        for parameter, (a, b) in deltas.items():
            state, shape = adapter_state(parameter), self._places.shapes[parameter]
            packed[state] = pack_units(a, b, shape, dtype_of_units(sizes[state], shape))
        count = -(-adapter.rank // RANKS)
        place = self.table.add(source.name, count)
        for state, units in packed.items():
            self._session.write(state, place.first, units)
