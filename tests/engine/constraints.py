"""A constraint for the tests: a small automaton over token ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

VOCAB_SIZE = 61


def mask_of(tokens: Collection[int], vocab_size: int = VOCAB_SIZE) -> np.ndarray:
    bits = np.zeros(-(-vocab_size // 32) * 32, np.uint8)
    bits[list(tokens)] = 1
    return np.packbits(bits, bitorder="little").view(np.int32)


class Automaton:
    """Goes from state to state by the drawn token; each state allows some tokens.

    Args:
        states: of each state the tokens it allows, and the state that each leads to. None in its place: any token, and
            the state stays.
    """

    def __init__(self, states: Mapping[int, Mapping[int, int] | None]) -> None:
        self.states = states
        self.state = 0
        self.accepted: list[int] = []

    def mask(self) -> np.ndarray | None:
        allowed = self.states[self.state]
        return None if allowed is None else mask_of(allowed)

    def accept(self, token: int) -> None:
        allowed = self.states[self.state]
        if allowed is not None:
            assert token in allowed
            self.state = allowed[token]
        self.accepted.append(token)


def rounds(size: int = 6, seed: int = 0, num_states: int = 5) -> Automaton:
    """Allows `size` random tokens in each of its states, for ever."""
    rng = np.random.default_rng(seed)
    states = {}
    for state in range(num_states):
        tokens = rng.choice(np.arange(10, VOCAB_SIZE), size, replace=False).tolist()
        states[state] = {token: int(rng.integers(0, num_states)) for token in tokens}
    return Automaton(states)
