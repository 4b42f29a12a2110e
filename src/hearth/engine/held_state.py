"""The slots of state that one sequence holds: `HeldState`.

Owns which slot the next forward reads and which it writes. A sequence has always one slot of its own, that nobody else
knows, so going on never has to wait for one. Around a forward:

1. `prepare` says which slots it writes: the sequence's own after its last token, and others at `Landmarks` on the way;
   `guess` one more after each guessed token;
2. `settle` says after how many tokens the text goes on: the slots before become checkpoints or are free, those of
   guesses that did not come true are free.

If the state itself is worth remembering it becomes a checkpoint, which is only read from then on, and the sequence
writes another slot. Where a model has no state, a sequence holds none and is not limited by that.
"""

from __future__ import annotations

from collections.abc import Mapping

from hearth.engine.checkpoints import Landmarks
from hearth.engine.prefix import HashChain
from hearth.engine.states import NOWHERE, StatePool


class HeldState:
    """What one sequence holds of a `StatePool`."""

    def __init__(self) -> None:
        self._length = 0  # tokens before the state in `_source`
        self._source = NOWHERE  # the sequence's own slot, or a checkpoint
        self._own = NOWHERE
        self._written: dict[int, int] = {}  # slots of the forward at hand, by the number of tokens before the state
        self._rolling = 0  # tokens before the last checkpoint that is let go for the next one

    @property
    def written(self) -> Mapping[int, int]:
        """Slots that the forward at hand writes, by the number of tokens before the state."""
        return self._written

    def after(self, length: int) -> int:
        """The slot with the state after so many tokens; NOWHERE for none.

        Raises:
            KeyError: no slot has it.
        """
        if length == 0 or length == self._length:
            return self._source if length else NOWHERE
        return self._written[length]

    def has(self, length: int) -> bool:
        """Whether `after` can tell, and the forward at hand does not write over it."""
        if length == 0 or length in self._written:
            return True
        return length == self._length and not self.is_overwritten

    @property
    def is_overwritten(self) -> bool:
        """Whether the forward at hand writes the slot that it reads, so that it cannot be computed once more."""
        return self._source in self._written.values()

    def start(self, states: StatePool, checkpoint: int | None, length: int, *, alone: bool) -> None:
        """Begins with a checkpoint after so many tokens, or with none.

        Args:
            alone: nobody else will be able to go on from the checkpoint: the sequence may write it.
        """
        if not states.num_slots:
            return
        if checkpoint is None:
            self._own = states.allocate()
            return
        states.hold(checkpoint)
        if alone or states.num_available == 0:  # then nobody else reads it either, see `DeviceMemory.has_slot`
            states.forget([checkpoint])
            self._own = checkpoint
        else:
            self._own = states.allocate()
        self._source, self._length = checkpoint, length

    def prepare(self, states: StatePool, chain: HashChain, start: int, stop: int, landmarks: Landmarks) -> None:
        """The next forward computes tokens [start, stop)."""
        written = {stop: self._own}
        for length in landmarks.between(start, stop) if states.prefix_cache else ():
            room = states.num_available if length in landmarks.ends else states.num_spare
            if room > 0 and states.find(chain, length) is None:
                written[length] = states.allocate()
        self._written |= written

    def guess(self, states: StatePool, length: int, count: int) -> int:
        """The next forward also computes so many guesses after the first `length` tokens: of how many it can keep the
        state."""
        if not states.num_slots:
            return count
        count = min(count, states.num_spare)
        for place in range(count):
            self._written[length + 1 + place] = states.allocate()
        return count

    def spare_source(self, states: StatePool) -> bool:
        """Lets the forward at hand, if there is a slot for it, not write what it reads. Returns whether it does not."""
        if self.is_overwritten and states.num_spare > 0:
            at = next(length for length, slot in self._written.items() if slot == self._source)
            self._written[at] = states.allocate()
        return not self.is_overwritten

    def settle(self, states: StatePool, chain: HashChain, length: int, landmarks: Landmarks) -> None:
        """The forward is done, and the text goes on after its first `length` tokens, of which the state is known."""
        self._publish_before(states, chain, length, landmarks)
        slot = self.after(length)
        rest = [other for other in self._held() if other != slot]
        spare = next((other for other in rest if states.may_be_written(other)), None)
        self._publish(states, chain, length, slot, landmarks, has_spare=spare is not None)
        own = slot
        if not states.may_be_written(slot):
            own = states.allocate() if spare is None else spare
        states.release([other for other in rest if other != own])
        # In this order: after an interrupt in between, `after` still tells the right slot of `length`.
        self._source, self._own = slot, own
        self._length = length
        self._written = {}

    def leave(self, states: StatePool, chain: HashChain, length: int, landmarks: Landmarks) -> None:
        """The sequence ends after so many computed tokens: others may go on from there."""
        if length and self.has(length):
            self._publish_before(states, chain, length, landmarks)
            states.publish(self.after(length), chain, length, lasting=True)

    def release(self, states: StatePool) -> None:
        """Gives back all slots."""
        states.release(self._held())
        self.forget()

    def forget(self) -> None:
        """Holds no slot any more: they were released elsewhere."""
        self._written = {}
        self._length = self._rolling = 0
        self._source = self._own = NOWHERE

    def _held(self) -> list[int]:
        """Every slot held, once: the last tokens' first, which `StatePool.release` gives back as what was used last. No
        checkpoint needs another one before it, and texts are gone on from at their ends."""
        slots = [self._own, *(self._written[length] for length in sorted(self._written)[::-1]), self._source]
        return [slot for slot in dict.fromkeys(slots) if slot != NOWHERE]

    def _publish_before(self, states: StatePool, chain: HashChain, length: int, landmarks: Landmarks) -> None:
        """Makes checkpoints of what was written on the way to the first `length` tokens."""
        for at in sorted(self._written):
            if at < length and landmarks.is_worth(at):
                slot, lasting = self._written[at], landmarks.is_lasting(at)
                if states.publish(slot, chain, at, lasting=lasting):
                    self._roll(states, chain, at, landmarks)

    def _publish(
        self, states: StatePool, chain: HashChain, length: int, slot: int, landmarks: Landmarks, *, has_spare: bool
    ) -> None:
        """Makes a checkpoint of the sequence's own state, if it is worth one and there is another slot to go on in."""
        if not (landmarks.is_worth(length) and states.prefix_cache) or states.find(chain, length) is not None:
            return
        self._roll(states, chain, length, landmarks)
        room = states.num_available if length in landmarks.ends else states.num_spare
        if has_spare or room > 0:
            states.publish(slot, chain, length, lasting=landmarks.is_lasting(length))

    def _roll(self, states: StatePool, chain: HashChain, length: int, landmarks: Landmarks) -> None:
        """There is a checkpoint further on: the last rolling one is let go."""
        if self._rolling:
            states.let_go(chain, self._rolling)
        self._rolling = 0 if landmarks.is_lasting(length) else length
