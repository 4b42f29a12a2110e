"""Which adapters a session holds, and where: `AdapterTable`.

Owns the units of a session and nothing of what is in them. What a sequence has computed with an adapter is of use to
sequences with the same one alone: each has a key, with which the prefix cache begins (`prefix.py`).
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

from hearth.errors import NotEnoughMemory, UsageError

_KEY_BYTES = 16


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in a session.

    Attributes:
        name: by which requests ask for it.
        first, count: its units.
        key: bytes that no other adapter has, nor one that has been there before.
    """

    name: str
    first: int
    count: int
    key: bytes = field(default_factory=lambda: os.urandom(_KEY_BYTES), compare=False)


class AdapterTable:
    """The adapters of a session, by name. May be asked from any thread.

    Args:
        num_units: that the session has.
    """

    def __init__(self, num_units: int = 0) -> None:
        self.num_units = num_units
        self._adapters: dict[str, LoadedAdapter] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all, in the order in which they came."""
        return tuple(self._adapters)

    def add(self, name: str, count: int) -> LoadedAdapter:
        """A place for an adapter of so many units.

        Raises:
            UsageError: there is one of this name.
            NotEnoughMemory: no so many units lie free side by side.
        """
        with self._lock:
            if name in self._adapters:
                raise UsageError(f"There is an adapter {name!r} already.", hint="Give this one another name.")
            first = 0
            for each in sorted(self._adapters.values(), key=lambda adapter: adapter.first):
                if each.first - first >= count:
                    break
                first = each.first + each.count
            if self.num_units - first < count:
                raise NotEnoughMemory(
                    f"There is no room for the adapter {name!r}: it takes {count} units.",
                    why=f"The model was opened with {self.num_units}.",
                    hint="Open the model with this adapter from the beginning.",
                )
            made = LoadedAdapter(name, first, count)
            self._adapters[name] = made
            return made

    def find(self, name: str) -> LoadedAdapter:
        """Raises UsageError where there is none of this name."""
        found = self._adapters.get(name) if isinstance(name, str) else None
        if found is None:
            known = ", ".join(self._adapters)
            hint = f"There are: {known}." if known else "Open the model with adapters: --lora NAME=PATH."
            raise UsageError(f"There is no adapter {str(name)[:100]!r}.", hint=hint)
        return found
