"""Checked reading of a published configuration, whichever file it came from.

A configuration is written by strangers: every value is checked for type and range on its way in, and an error names
the key as the file spells it. Keys are those of `config.json`; `metadata.py` restates GGUF metadata in the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from hearth.checkpoint.types import SourceKind
from hearth.errors import CorruptFile, Unsupported

# Far above anything published, far below what would overflow a size computation.
MAX_SIZE = 1 << 24
MAX_POSITIONS = 1 << 30

Chosen = TypeVar("Chosen")


class Settings:
    """One configuration: its values, what to assume for a key that it does not have, and how to name it in errors.

    Args:
        values: the configuration as read.
        where: the file, for error messages.
        kind: which format it comes from; some facts are in the format and not in the configuration.
        defaults: what the family assumes for absent keys. An explicit null is kept: it switches a thing off.
        context: the context length asked for, in tokens, or None.
        spelled: how the file spells a key, where it differs from `config.json`.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        where: str,
        kind: SourceKind = "safetensors",
        defaults: Mapping[str, Any] | None = None,
        context: int | None = None,
        spelled: Mapping[str, str] | None = None,
    ) -> None:
        self.values = values
        self.where = where
        self.kind = kind
        self.defaults = defaults or {}
        self.context = context
        self.spelled = spelled or {}

    def get(self, key: str) -> Any:
        """The value as it stands, the default of an absent key, or None."""
        return self.values[key] if key in self.values else self.defaults.get(key)

    def corrupt(self, key: str, expected: str) -> CorruptFile:
        name = self.spelled.get(key, key)
        if self.get(key) is None:
            return CorruptFile(f"{self.where} has no {name!r}.", why=f"Expected {expected}.")
        return CorruptFile(f"{self.where}: {name} = {shown(self.get(key))}.", why=f"Expected {expected}.")

    def unsupported(self, key: str, why: str) -> Unsupported:
        return Unsupported(f"{self.where}: {self.spelled.get(key, key)} = {shown(self.get(key))}.", why=why)

    def count(self, key: str, *, most: int = MAX_SIZE) -> int:
        """A required whole number from 1 to `most`."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self.corrupt(key, f"a whole number from 1 to {most}")
        return value

    def optional_count(self, key: str, *, most: int = MAX_SIZE) -> int | None:
        return None if self.get(key) is None else self.count(key, most=most)

    def number(self, key: str, *, low: float = 0.0, high: float = 1e12) -> float:
        """A required finite number, greater than `low` and at most `high`."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high:
            raise self.corrupt(key, f"a number above {low:g} and at most {high:g}")
        return float(value)

    def optional_number(self, key: str, *, low: float = 0.0, high: float = 1e12) -> float | None:
        return None if self.get(key) is None else self.number(key, low=low, high=high)

    def flag(self, key: str) -> bool:
        """True or false; absent and null are false."""
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.corrupt(key, "true or false")
        return bool(value)

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise self.corrupt(key, "a text")
        return value

    def choice(self, key: str, known: Mapping[str, Chosen]) -> Chosen:
        """What a required name stands for. Raises Unsupported for one that is not known."""
        name = self.text(key)
        if name not in known:
            raise Unsupported(
                f"{self.where}: {key} = {shown(name)} is not supported.", hint=f"Known: {', '.join(known)}."
            )
        return known[name]

    def table(self, key: str) -> dict[str, Any]:
        """A nested object; absent and null are empty."""
        value = self.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.corrupt(key, "an object")
        return dict(value)

    def sequence(self, key: str, *, length: int) -> list[Any] | None:
        """A list of at least `length` entries, cut to it; None when absent or null."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or len(value) < length:
            raise self.corrupt(key, f"a list of {length} entries")
        return list(value[:length])

    def factors(self, key: str, *, length: int) -> list[float]:
        """A required list of exactly `length` sane positive numbers."""
        value = self.get(key)
        if not isinstance(value, list | tuple) or len(value) != length:
            raise self.corrupt(key, f"a list of {length} numbers")
        for entry in value:
            if isinstance(entry, bool) or not isinstance(entry, int | float) or not 1e-6 <= entry <= 1e6:
                raise self.corrupt(key, "numbers from 1e-6 to 1e6")
        return [float(entry) for entry in value]

    def numbers(self, key: str, *, length: int) -> list[float]:
        """A required list of `length` finite numbers."""
        values = self.get(key)
        if not isinstance(values, list | tuple | np.ndarray) or len(values) != length:
            raise self.corrupt(key, f"a list of {length} numbers")
        found = [value.item() if isinstance(value, np.generic) else value for value in values]
        if not all(type(value) in (int, float) and abs(value) <= 1e12 for value in found):
            raise self.corrupt(key, "finite numbers")
        return [float(value) for value in found]

    def alike(self, *keys: str) -> Settings:
        """These settings with one value for each of the keys, which may be a list of one for each layer.

        Raises:
            Unsupported: layers differ in it.
        """
        values = dict(self.values)
        for key in keys:
            value = self.get(key)
            if isinstance(value, list | tuple) and value:
                if any(entry != value[0] for entry in value):
                    raise self.unsupported(key, "It differs from layer to layer.")
                values[key] = value[0]
        return Settings(
            values, where=self.where, kind=self.kind, defaults=self.defaults, context=self.context, spelled=self.spelled
        )

    def nested(self, values: Mapping[str, Any], name: str) -> Settings:
        """The settings of an inner object of this file."""
        return Settings(values, where=f"{self.where}, {name}", kind=self.kind, context=self.context)


def shown(value: Any) -> str:
    """A value for an error message; what strangers wrote may be of any length."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
