"""No slot may leak, be written while somebody may read it, or be found for tokens whose state it does not hold."""

from __future__ import annotations

from array import array

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from hearth.engine.checkpoints import Landmarks
from hearth.engine.held_state import HeldState
from hearth.engine.prefix import HashChain
from hearth.engine.states import NOWHERE, StatePool
from hearth.errors import NotEnoughMemory, UsageError

SLOTS, PAGE_TOKENS = 7, 2


class Text:
    """A sequence as the pool sees it."""

    def __init__(self, tokens: list[int]) -> None:
        self.chain = HashChain(array("i", tokens), PAGE_TOKENS)
        self.state = HeldState()
        self.landmarks = Landmarks(PAGE_TOKENS, len(tokens))
        self.computed = 0

    @property
    def tokens(self) -> list[int]:
        return self.chain.tokens.tolist()


class SlotMachine(RuleBasedStateMachine):
    """Texts of few distinct tokens, so that they often share beginnings, in few slots."""

    texts = Bundle("texts")

    def __init__(self) -> None:
        super().__init__()
        self.states = StatePool(SLOTS)
        self.memory: dict[int, list[int]] = {}  # slot -> the tokens before the state in it
        self.live: list[Text] = []

    @rule(target=texts, tokens=st.lists(st.integers(0, 1), min_size=1, max_size=9), alone=st.booleans())
    def start(self, tokens, alone):
        text = Text(tokens)
        if self.states.num_available == 0:
            return text
        known = [(n, slot) for n in range(1, len(tokens)) if (slot := self.states.find(text.chain, n)) is not None]
        length, slot = known[-1] if known else (0, None)
        if slot is not None:
            assert self.memory[slot] == tokens[:length]
        text.state.start(self.states, slot, length, alone=alone and slot is not None and self.states.refs(slot) == 0)
        text.computed = length
        self.live.append(text)
        return text

    @rule(text=texts, count=st.integers(1, 5), drawn=st.lists(st.integers(0, 1), max_size=4), right=st.integers(0, 4))
    def compute(self, text, count, drawn, right):
        """Some of its tokens, and if these are the last ones, guesses behind them, of which some come true."""
        if text not in self.live:
            return
        start, stop = text.computed, min(text.computed + count, len(text.tokens))
        if start == stop:
            text.chain.tokens.append(1)
            stop += 1
        text.state.prepare(self.states, text.chain, start, stop, text.landmarks)
        guesses = drawn if stop == len(text.tokens) else []
        guesses = guesses[: text.state.guess(self.states, stop, len(guesses))]
        source = text.state.after(start)
        before = [] if source == NOWHERE else self.memory[source]
        assert before == text.tokens[:start]
        written = {length: slot for length, slot in text.state.written.items() if length > start}
        assert len(set(written.values())) == len(written)
        others = {slot for other in self.live if other is not text for slot in other.state._held()}
        assert not others & set(written.values()), "a slot of another sequence is written"
        assert not any(slot in self.states._index for slot in written.values()), "a checkpoint is written"
        for length, slot in written.items():
            self.memory[slot] = [*text.tokens[:stop], *guesses][:length]
        true = guesses[:right]
        text.chain.tokens.extend(true)
        text.computed = stop + len(true)
        text.state.settle(self.states, text.chain, text.computed, text.landmarks)

    @rule(text=consumes(texts), spoiled=st.booleans())
    def finish(self, text, spoiled):
        if text not in self.live:
            return
        self.live.remove(text)
        if spoiled:
            self.states.forget_along(text.chain)
        else:
            text.state.leave(self.states, text.chain, text.computed, text.landmarks)
        text.state.release(self.states)
        found = self.states.find(text.chain, text.computed) if text.computed else None
        assert (found is None) == (spoiled or text.computed == 0)

    @rule()
    def interrupt(self):
        self.states.release_everything()
        self.live.clear()
        assert self.states.num_available == SLOTS

    @invariant()
    def every_slot_is_counted_once(self):
        held = [slot for text in self.live for slot in text.state._held()]
        for slot in range(SLOTS):
            assert self.states.refs(slot) == held.count(slot)
        assert len(set(held)) + self.states.num_available == SLOTS
        for text in self.live:
            assert self.states.may_be_written(text.state._own)

    @invariant()
    def every_checkpoint_holds_what_it_is_found_by(self):
        for slot, entry in self.states._index._entries.items():
            assert array("i", self.memory[slot]).tobytes() == entry.tokens
            assert len(self.memory[slot]) == entry.num_tokens


TestSlots = SlotMachine.TestCase
TestSlots.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_checkpoint_that_is_let_go_is_not_written_as_long_as_another_reads_it():
    states = StatePool(7)
    text, branch = Text([1]), HeldState()
    text.state.start(states, None, 0, alone=False)
    text.chain.tokens.append(2)
    text.state.prepare(states, text.chain, 0, 2, text.landmarks)
    text.state.settle(states, text.chain, 2, text.landmarks)
    checkpoint = states.find(text.chain, 2)
    assert checkpoint is not None
    branch.start(states, checkpoint, 2, alone=False)
    text.chain.tokens.extend([3, 4, 5, 6])
    text.state.prepare(states, text.chain, 2, 3, text.landmarks)
    assert text.state.guess(states, 3, 3) == 3
    text.state.settle(states, text.chain, 6, text.landmarks)
    known = [length for length in range(1, 7) if states.find(text.chain, length) is not None]
    assert known == [6], "two more pages are full, and the end of the last is remembered"
    text.state.prepare(states, text.chain, 6, 7, text.landmarks)
    assert branch.after(2) == checkpoint
    assert checkpoint not in text.state.written.values()


def test_a_hash_collision_is_found_out_by_the_tokens():
    states = StatePool(4)
    chain, other = HashChain(array("i", [1, 2, 3]), 2), HashChain(array("i", [4, 5, 6]), 2)
    slot = states.allocate()
    states.publish(slot, chain, 2, lasting=True)
    other._digests.append(chain.digest(1))  # as if both had the same hash
    assert states.find(chain, 2) == slot
    assert states.find(other, 2) is None


def test_more_slots_than_there_are_cannot_be_had():
    states = StatePool(2)
    held = [states.allocate() for _ in range(2)]
    with pytest.raises(NotEnoughMemory, match="2 slots"):
        states.allocate()
    states.release(held)
    assert states.num_available == 2
    with pytest.raises(UsageError):
        StatePool(-1)
