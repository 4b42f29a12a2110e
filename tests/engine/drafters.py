"""Drafters and a policy for the tests: guesses that are always verified, good and bad ones."""

from __future__ import annotations

import random
from collections.abc import Callable

from hearth.engine import Ask, Draft, Speculation

VOCAB_SIZE = 61


class Eager(Speculation):
    """Verifies every guess there is room for, whatever that costs, and never rests."""

    def rests(self) -> bool:
        return False

    def counts(self, gains: list[list[float]], num_rows: int, room: int, token_ns: float = 0.0) -> list[int]:
        counts = []
        for row in gains:
            counts.append(min(len(row), room))
            room -= counts[-1]
        return counts


class Guesses:
    """A `Drafter` made of a function of the ask; its own prior keeps every guess in the game."""

    free = True
    prior = 1.0
    token_ns = 0.0
    reads_hidden = False

    def __init__(self, guess: Callable[[Ask], list[int]]) -> None:
        self.guess = guess
        self.asked: list[Ask] = []
        self.forgotten: list[int] = []
        self.resets = 0

    def propose(self, asks):
        self.asked += asks
        drafts = [Draft(self.guess(ask)[: ask.limit]) for ask in asks]
        assert all(ask.limit >= 1 for ask in asks)
        return drafts

    def forget(self, request_id):
        self.forgotten.append(request_id)

    def reset(self):
        self.resets += 1


class Certain(Eager):
    """Takes every guess for sure: what came of the last ones changes nothing."""

    def plan(self, asks, num_rows, max_rows):
        drafts = self._voices[0].drafter.propose(asks)
        counts = self.counts([[1.0] * len(draft.tokens) for draft in drafts], num_rows, max_rows - num_rows)
        return [draft.tokens[:count] for draft, count in zip(drafts, counts, strict=True)]


def garbage(seed: int) -> Guesses:
    """Random tokens, random lengths, sometimes none."""
    rng = random.Random(seed)
    return Guesses(lambda ask: [rng.randrange(VOCAB_SIZE) for _ in range(rng.randint(0, ask.limit))])


def oracle(answers: dict[int, list[int]], prompts: dict[int, list[int]], *, seed: int | None = None) -> Guesses:
    """Knows each request's answer; with a seed it guesses random lengths and is wrong in places."""
    rng = random.Random(seed)

    def guess(ask: Ask) -> list[int]:
        whole = prompts[ask.id] + answers[ask.id]
        tokens = whole[len(ask.tokens) : len(ask.tokens) + ask.limit]
        if seed is None:
            return tokens
        tokens = tokens[: rng.randint(0, ask.limit)]
        return [rng.randrange(VOCAB_SIZE) if rng.random() < 0.2 else token for token in tokens]

    return Guesses(guess)
