"""Does a model fit this machine, and what does where it does not: asked before it is downloaded or compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hearth.errors import NotEnoughMemory
from hearth.hub import Remote
from hearth.hub.catalogue import fitting
from hearth.runtime import available_bytes, total_bytes
from hearth.sizes import ModelSize
from hearth.units import format_bytes

LEAST_CONTEXT = 256
"""Tokens that a model must have room for, whatever is asked of it."""

Verdict = Literal["fits", "fits when others are closed", "too large"]

_USABLE_SHARE = 0.9  # of all memory; the rest is the system's
# The size of a model in a number format.
Sizes = Callable[[str | None], ModelSize]


def verdict(needed_bytes: int) -> Verdict | None:
    """Whether so much memory can be had here, now or when other programs are closed; None: the system does not tell."""
    free, total = available_bytes(), total_bytes()
    if free is None or total is None:
        return None
    if needed_bytes <= free:
        return "fits"
    return "fits when others are closed" if needed_bytes <= _USABLE_SHARE * total else "too large"


def usable_bytes() -> int | None:
    """What a model may take at most when no other program is open; None: the system does not tell."""
    total = total_bytes()
    return None if total is None else int(_USABLE_SHARE * total)


def require_fit(
    name: str, sizes: Sizes, quant: str | None, memory_bytes: int | None, *, remote: Remote | None = None
) -> None:
    """Refuses a model that is too large.

    Args:
        sizes: its size by number format (`--quant`).
        quant: the one that is asked for.
        memory_bytes: what it may take; None where that is not known, which refuses nothing.
        remote: it on the hub, for what else its repository has.

    Raises:
        NotEnoughMemory: it does not fit with the least of contexts; the hint says what does.
    """
    needed = sizes(quant).memory_bytes(LEAST_CONTEXT)
    if memory_bytes is None or needed <= memory_bytes:
        return
    raise NotEnoughMemory(
        f"{name} takes {format_bytes(needed)} of memory, and {format_bytes(memory_bytes)} can be had.",
        hint=_instead(sizes, quant, memory_bytes, remote) or "Close other programs, or take a smaller model.",
    )


def _instead(sizes: Sizes, quant: str | None, memory_bytes: int, remote: Remote | None) -> str:
    """What fits: the model in a smaller format, another file of its repository, another model."""
    ways = []
    if quant != "q4":
        smaller = sizes("q4").memory_bytes(LEAST_CONTEXT)
        if smaller <= memory_bytes:
            ways.append(f"--quant q4, which takes {format_bytes(smaller)}")
    if remote is not None:
        files = [f for f in remote.selection.choices if f.size_bytes < 0.9 * memory_bytes]
        if files:
            best = files[-1]  # by size
            ways.append(f"hearth pull {remote.choice_name(best)}, which has {format_bytes(best.size_bytes)}")
    others = fitting(memory_bytes)
    if others:
        ways.append(f"hearth pull {others[0].name}, which takes {format_bytes(others[0].memory_bytes())}")
    more = " `hearth models` lists what fits." if others else ""
    return f"{'; or '.join(ways)}.{more}" if ways else ""
