"""How many tokens a sequence of a language model may have, and the room for what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.engine import pages_for, slots_for
from hearth.errors import UsageError
from hearth.fit import LEAST_CONTEXT
from hearth.runtime import TextInfo, require_within

MAX_DEFAULT_CONTEXT = 8192
"""Tokens of context where none is asked for and the model has more: keys and values take memory."""
_SPARE_SHARE = 8
"""This part of the free memory may hold keys and values of more requests than the one that must have room."""


@dataclass(frozen=True)
class Room:
    """What a session keeps of its sequences: pages of keys and values, and slots of recurrent state; and how many units
    of adapters it has beside them."""

    pages: int
    slots: int
    adapters: int = 0

    def session_bytes(self, info: TextInfo, threads: int) -> int:
        """Memory that a session needs beside the weights."""
        return info.session_bytes(self.pages, threads, self.slots, self.adapters)


def choose_room(
    info: TextInfo, context: int, *, max_seqs: int | None, kv_bytes: int | None, free_bytes: int | None,
    adapters: int = 0,
) -> Room:  # fmt: skip
    """Room for `max_seqs` sequences of a full context; less, but enough for one of them, where `kv_bytes` do not hold
    so many.

    Args:
        max_seqs: None: as many as the model was compiled for, in `kv_bytes` or else a small part of the free memory.
        free_bytes: memory that is free where the model runs; None: nobody knows.
        adapters: units of adapters.
    """
    if max_seqs is None and kv_bytes is None:
        kv_bytes = (free_bytes or 0) // _SPARE_SHARE
    count = info.max_seqs if max_seqs is None else max_seqs
    slots = _choose_slots(info, count, kv_bytes)
    full = pages_for(context, count, page_tokens=info.page_tokens)
    if kv_bytes is None:
        return Room(full, slots, adapters)
    if not info.kv_bytes_per_page:  # no layer attends
        return Room(full, slots, adapters)
    left_bytes = kv_bytes - slots * info.state_bytes_per_slot
    least = pages_for(context, page_tokens=info.page_tokens)
    return Room(min(full, max(least, left_bytes // info.kv_bytes_per_page)), slots, adapters)


def _choose_slots(info: TextInfo, max_seqs: int, kv_bytes: int | None) -> int:
    """Slots of state: guesses too are kept in some, and texts that may go on; all in half of `kv_bytes`."""
    if not info.has_state:
        return 0
    full = slots_for(max_seqs, texts=max_seqs, speculates=True)
    if kv_bytes is None:
        return full
    return min(full, max(slots_for(1), kv_bytes // 2 // info.state_bytes_per_slot))


def choose_context(
    info: TextInfo, wanted: int | None, *, max_seqs: int, threads: int, name: str, kv_bytes: int | None = None,
    free_bytes: int | None, adapters: int = 0,
) -> int:  # fmt: skip
    """How many tokens of prompt and answer a sequence may have.

    Args:
        wanted: by the user; None: what the model has, up to `MAX_DEFAULT_CONTEXT` and what half of the free
            memory holds.
        kv_bytes, free_bytes, adapters: as `choose_room`.

    Raises:
        UsageError: `wanted` or `max_seqs` is out of range.
        NotEnoughMemory: keys and values for it do not fit; the message says how many tokens would.
    """
    if not 1 <= max_seqs <= info.max_seqs:
        raise UsageError(f"max_seqs is {max_seqs}, but this model takes 1 to {info.max_seqs}.")
    if wanted is not None and not 2 <= wanted <= info.max_position:
        raise UsageError(
            f"A context of {wanted} tokens is asked for; {name} takes 2 to {info.max_position}.",
            hint="Choose one between, or leave the context out.",
        )

    def needed(tokens: int) -> int:
        room = choose_room(info, tokens, max_seqs=max_seqs, kv_bytes=kv_bytes, free_bytes=free_bytes, adapters=adapters)
        return room.session_bytes(info, threads)

    def halved(tokens: int, limit_bytes: int) -> int:
        while tokens > LEAST_CONTEXT and needed(tokens) > limit_bytes:
            tokens //= 2
        return tokens

    free = free_bytes
    context = wanted or min(info.max_position, MAX_DEFAULT_CONTEXT)
    if wanted is None and free is not None:
        context = halved(context, free // 2)
    if wanted is None and kv_bytes is not None:
        page_bytes, page_tokens = info.kv_bytes_per_page, info.page_tokens
        while context > LEAST_CONTEXT and pages_for(context, page_tokens=page_tokens) * page_bytes > kv_bytes:
            context //= 2
    fits = halved(context, free) if free is not None else context
    hint = f"About {fits} tokens would fit: context={fits}, or --context {fits}." if fits < context else ""
    require_within(needed(context), free, f"A context of {context} tokens", hint=hint)
    return context
