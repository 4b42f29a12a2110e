"""Which model to begin with: two or three of the catalogue that suit this machine, from the best to the quickest; and
one that takes pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hearth.fit import usable_bytes
from hearth.hub.catalogue import Entry, Looking, fitting, looking

# Of the memory that a model may take, since what else is open wants some, too; and so much that a word does not keep
# anybody waiting: a processor reads all weights for each.
_SHARE: Final = 0.6
_QUICK_BYTES: Final = 4 << 30
_MOST: Final = 3


def suggested(here: Sequence[str]) -> list[Entry]:
    """Entries that fit with room to spare, that nobody has to ask for, and that are not here yet.

    The best one; then ones of at most half its size, so that whoever waits for a download or an answer has a choice;
    then the best one that sees, where none is here.

    Args:
        here: names of the models on this device.
    """
    memory_bytes = usable_bytes()
    room = _QUICK_BYTES if memory_bytes is None else min(_QUICK_BYTES, int(_SHARE * memory_bytes))
    names = {name.partition(":")[0] for name in here}
    able = [entry for entry in fitting(room) if not entry.gated]
    chosen: list[Entry] = []
    for entry in able:
        if entry.sees or entry.name in names:
            continue
        if not chosen or entry.download_bytes <= chosen[-1].download_bytes / 2:
            chosen.append(entry)
        if len(chosen) == _MOST:
            break
    seeing = [entry for entry in able if entry.sees]
    return chosen if any(entry.name in names for entry in seeing) else [*chosen, *seeing[:1]]


def suggested_looking(here: Sequence[str]) -> list[Looking]:
    """Models that look at pictures and are not here yet. All of them are small."""
    return [entry for entry in looking() if entry.name not in here]
