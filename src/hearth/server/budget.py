"""What the open models of a server may take together: `Budget`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from hearth.prepare import Opened as Prepared
from hearth.runtime import available_bytes
from hearth.server.model_slot import Slot
from hearth.server.unopened import NoRoom
from hearth.units import format_bytes

log = logging.getLogger("hearth.server")

_BUDGET_SHARE = 0.7  # of the memory that is free at the start
_KV_SHARE = 0.25  # of the budget, for the keys and values of one model
_BATCH_BYTES, _TABLE_BYTES_PER_TOKEN = 1 << 20, 16  # of a session beside its arena, roughly, until it is open


class Budget:
    """The memory for all open models of a server. Its methods make room, by closing the longest unused of the idle.

    Args:
        limit_bytes: None: a part of what is free now.
        slots: of all known models.
        close: closes an idle one.
    """

    def __init__(
        self, limit_bytes: int | None, slots: Mapping[str, Slot], close: Callable[[Slot], Awaitable[None]]
    ) -> None:
        self.limit_bytes = limit_bytes or int(_BUDGET_SHARE * (available_bytes() or 1 << 62))
        self._slots = slots
        self._close = close

    async def for_weights(self, slot: Slot, prepared: Prepared) -> int:
        """Room for a model that keeps nothing between requests. Returns the bytes that it takes.

        Raises:
            NoRoom: it does not fit.
        """
        facts = prepared.bundle.manifest.facts
        needed = facts.weights_bytes + facts.arena_bytes + _BATCH_BYTES
        await self.for_opened(slot, needed)
        return needed

    async def for_text(self, slot: Slot, prepared: Prepared) -> int:
        """Room for a language model, before its memory is taken. Returns bytes for its keys and values.

        Raises:
            NoRoom: it does not fit.
        """
        facts = prepared.bundle.manifest.facts
        batch_bytes = _BATCH_BYTES + _TABLE_BYTES_PER_TOKEN * prepared.bundle.manifest.language.context_max
        fixed_bytes = facts.weights_bytes + facts.arena_bytes + batch_bytes
        kv_bytes = int(_KV_SHARE * self.limit_bytes)
        await self._evict(fixed_bytes + kv_bytes)
        left_bytes = self.limit_bytes - self._used_bytes() - fixed_bytes
        if left_bytes <= 0:
            raise self._no_room(slot, fixed_bytes)
        return min(kv_bytes, left_bytes)

    async def for_opened(self, slot: Slot, size_bytes: int) -> None:
        """Room for a model whose size is known.

        Raises:
            NoRoom: it does not fit.
        """
        await self._evict(size_bytes)
        if self._used_bytes() + size_bytes > self.limit_bytes:
            raise self._no_room(slot, size_bytes)

    async def _evict(self, wanted_bytes: int) -> None:
        """Closes the longest unused idle models until so much of the budget is free, or none is left."""
        while self._used_bytes() + wanted_bytes > self.limit_bytes:
            idle = [slot for slot in self._slots.values() if slot.idle]
            if not idle:
                return
            oldest = min(idle, key=lambda slot: slot.last_used)
            log.info("model %s is closed to make room", oldest.card.id)
            await self._close(oldest)

    def _used_bytes(self) -> int:
        return sum(slot.size_bytes for slot in self._slots.values())

    def _no_room(self, slot: Slot, size_bytes: int) -> NoRoom:
        busy = [other.card.id for other in self._slots.values() if other.opened is not None]
        return NoRoom(
            f"{slot.card.id} takes {format_bytes(size_bytes)}; the models of this server may take"
            f" {format_bytes(self.limit_bytes)} together.",
            why=f"In use: {', '.join(busy)}." if busy else "",
            hint="Try again later, or start the server with more --memory."
            if busy
            else "Start it with more --memory, or take a smaller model, format or context.",
        )
