"""Who uses which slot of state: `StatePool`.

Layers that are no attention keep, beside pages of keys and values, a state of fixed size for each sequence. A slot
holds that of all such layers after some token of some text; a forward reads one slot and writes others, so that nothing
is ever copied. A `CountedPool` (`counted.py`) that knows slots as numbers; what a slot holds is remembered in
`checkpoints.py`, what one sequence holds in `held_state.py`.

A slot that is known, a *checkpoint*, is never written: who goes on from it writes another one. There are no slots where
a model has no such layers.
"""

from __future__ import annotations

from hearth.engine.checkpoints import CheckpointIndex
from hearth.engine.counted import CountedPool
from hearth.engine.prefix import HashChain
from hearth.errors import NotEnoughMemory, UsageError

NOWHERE = -1
"""In place of a slot: there is none, and the state is that before a text, zero."""

_LEAST_KEPT = 2  # where the last prompt ended, and where the answer is


class StatePool(CountedPool):
    """Reference-counted slots with a cache of checkpoints.

    Args:
        num_slots: slots the session has.
        prefix_cache: whether to remember what idle slots hold.
    """

    def __init__(self, num_slots: int, *, prefix_cache: bool = True) -> None:
        if num_slots < 0:
            raise UsageError(f"{num_slots} slots of state are none.")
        self._index = CheckpointIndex()
        super().__init__(num_slots, self._index)
        self.num_slots = num_slots
        self.prefix_cache = prefix_cache

    @property
    def num_spare(self) -> int:
        """Slots for what may be done without, guesses and the less likely checkpoints: these evict none of those that
        were used last, half as many as there are slots."""
        return len(self._free) + max(0, len(self._idle) - max(_LEAST_KEPT, self.num_slots // 2))

    def allocate(self) -> int:
        """A slot of one's own, its content unspecified.

        Raises:
            NotEnoughMemory: every slot is held.
        """
        slot = self._give_out()
        if slot is None:
            raise NotEnoughMemory(
                f"All {self.num_slots} slots of state are in use.", hint="Compute fewer sequences at once."
            )
        return slot

    def hold(self, slot: int) -> None:
        """One hold more on a checkpoint."""
        self._share(slot)

    def may_be_written(self, slot: int) -> bool:
        """Whether a held slot is nobody else's, and no checkpoint."""
        return self._refs[slot] == 1 and slot not in self._index

    def find(self, chain: HashChain, num_tokens: int) -> int | None:
        """The checkpoint after exactly so many of the chain's tokens."""
        return self._index.find(chain, num_tokens)

    def lengths(self, chain: HashChain, index: int) -> list[int]:
        """See `CheckpointIndex.lengths`."""
        return self._index.lengths(chain, index)

    def publish(self, slot: int, chain: HashChain, num_tokens: int, *, lasting: bool) -> bool:
        """A held slot has the state after so many tokens and will not be written any more: others may go on from it.

        Returns:
            Whether it is now the checkpoint of these tokens; not if there was one already.
        """
        if not self.prefix_cache or num_tokens == 0:
            return False
        known = self._index.find(chain, num_tokens)
        if known is not None:
            if lasting and not self._index.is_lasting(known):
                self._index.remove(known)
                self._index.add(known, chain, num_tokens, lasting=True)
            return known == slot
        self._index.add(slot, chain, num_tokens, lasting=lasting)
        return True

    def let_go(self, chain: HashChain, num_tokens: int) -> None:
        """The checkpoint after so many tokens is not worth a slot any more, unless it is a lasting one."""
        slot = self._index.find(chain, num_tokens)
        if slot is None or self._index.is_lasting(slot):
            return
        self._index.remove(slot)
        if self.is_idle(slot):
            del self._idle[slot]
            self._free.append(slot)

    def forget_along(self, chain: HashChain) -> None:
        """States of this text may be wrong: nobody shall find them."""
        self.forget(self._index.along(chain))
