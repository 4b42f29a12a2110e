"""The state of the toy model: a number for each slot, with the whole text before it in it.

One token more, less or another one, an older state or one of another text is another number, and so another answer. It
checks what the contract asks of the engine (`Forward`): no slot is read that was never written, none is written
twice, or while another sequence reads it.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

MODULUS = 2**61 - 1
NUM_VECTORS = 997


class ToyState:
    """Slots, and what a token sees of a state."""

    def __init__(self, num_slots: int, hidden_size: int) -> None:
        self.slots: list[int | None] = [None] * num_slots
        self.vectors = np.random.default_rng(13).normal(size=(NUM_VECTORS, hidden_size))

    def lose_everything(self) -> None:
        self.slots = [None] * len(self.slots)

    def after(self, state: int, token: int, position: int, given: np.ndarray | None, is_prompt: bool) -> int:
        """The state after one token more; a picture is one by its embedding."""
        seen = token if given is None else crc32(given.tobytes())
        return (state * 6364136223846793005 + 2 * seen + 1442695040888963407 * (position + 1)) % MODULUS

    def seen(self, state: int) -> np.ndarray:
        return self.vectors[state % NUM_VECTORS]

    def read(self, state_from: np.ndarray) -> dict[int, int]:
        """The state before each sequence's tokens."""
        states = {}
        for row, slot in enumerate(state_from.tolist()):
            state = 0 if slot < 0 else self.slots[slot]
            assert state is not None, "a slot is read that was never written"
            states[row] = state
        return states

    def write(self, slot: int, state: int) -> None:
        if slot >= 0:
            self.slots[slot] = state

    def check(self, positions: np.ndarray, token_seq: np.ndarray, state_from: np.ndarray, state_to: np.ndarray) -> None:
        """What the contract asks of the caller."""
        for array in (state_from, state_to):
            assert array.dtype == np.int32
            assert array.flags.c_contiguous
            assert ((array >= -1) & (array < len(self.slots))).all()
        assert state_to.shape == token_seq.shape
        assert state_from.shape == (token_seq.max() + 1,)
        written = state_to[state_to >= 0]
        assert len(set(written.tolist())) == len(written), "a slot is written twice"
        for row, slot in enumerate(state_from.tolist()):
            assert (slot < 0) == (positions[token_seq == row][0] == 0), "no state is read before a text alone"
            others = state_to[token_seq != row]
            assert slot < 0 or slot not in others, "a slot is written while another sequence reads it"
