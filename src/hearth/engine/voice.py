"""A drafter, and how often its guesses come true: `Voice`.

Learned for each sequence from its own tokens, by the grade of a guess (`draft.py`).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Seq

from hearth.engine.draft import NUM_GRADES, Ask, Draft, Drafter

_LEAST_GAIN = 0.02  # a guess less likely than this is not worth a thought
_MEMORY = 0.95  # weight of what was learned before against one observation more
_PRIOR_WEIGHT = 3.0  # observations that a drafter's prior counts for
_NEARLY = 0.9  # of how often guesses come true, those that come behind them do, where these were never made


class Voice:
    """One of those that guess.

    Attributes:
        drafter: makes the guesses.
    """

    def __init__(self, drafter: Drafter) -> None:
        self.drafter = drafter
        self._records: dict[int, _Record] = {}
        self._drafts: list[Draft] = []  # of the asks at hand, where they are free

    def gains(self, asks: Seq[Ask]) -> list[list[float]]:
        """For each ask, of each token that may be guessed the probability that it and all before it come true. Guesses
        that are free are made, and looked at later, whether they are taken or not."""
        records = [self._record(ask) for ask in asks]
        if not self.drafter.free:
            return [record.gains(0, ask.limit) for record, ask in zip(records, asks, strict=True)]
        self._drafts = self.drafter.propose(asks)
        return [record.expect(draft) for record, draft in zip(records, self._drafts, strict=True)]

    def guesses(self, asks: Seq[Ask], counts: Seq[int]) -> list[list[int]]:
        """At most so many tokens for each of the asks that `gains` was called with."""
        if self.drafter.free:
            return [draft.tokens[:count] for draft, count in zip(self._drafts, counts, strict=True)]
        wanted = [ask._replace(limit=count) for ask, count in zip(asks, counts, strict=True) if count]
        made = {}
        for ask, draft in zip(wanted, self.drafter.propose(wanted) if wanted else [], strict=True):
            self._records[ask.id].expect(draft)
            made[ask.id] = draft.tokens
        return [made.get(ask.id, []) for ask in asks]

    def forget(self, request_id: int) -> None:
        """The request has ended."""
        self._records.pop(request_id, None)
        self.drafter.forget(request_id)

    def reset(self) -> None:
        """A step was interrupted: what is remembered of sequences may be half written."""
        self._records.clear()
        self.drafter.reset()

    def _record(self, ask: Ask) -> _Record:
        """What is known of the sequence, up to its last token."""
        record = self._records.get(ask.id)
        if record is None or record.tokens is not ask.tokens:
            record = self._records[ask.id] = _Record(ask.tokens, self.drafter.prior, tried_all=self.drafter.free)
        else:
            record.learn()
        return record


class _Record:
    """What was guessed for one sequence last, and how often guesses of each grade came true.

    Args:
        tried_all: guesses are made as far as they go; else only as far as that was thought to pay.
    """

    def __init__(self, tokens: array[int], prior: float, *, tried_all: bool) -> None:
        self._tried_all = tried_all
        self.tokens = tokens
        self._length = 0
        self._guess: list[int] = []
        self._grade = 0
        self._hits = [prior * _PRIOR_WEIGHT] * NUM_GRADES
        self._trials = [_PRIOR_WEIGHT] * NUM_GRADES

    def expect(self, draft: Draft) -> list[float]:
        """Keeps the draft to learn from it, and returns its gains."""
        self._length, (self._guess, self._grade) = len(self.tokens), draft
        return self.gains(draft.grade, len(draft.tokens)) if draft.tokens else []

    def learn(self) -> None:
        """Compares the last guess with the tokens that have come since, whether it was verified or not."""
        for place, guessed in enumerate(self._guess):
            if self._length + place >= len(self.tokens):
                break
            grade = min(self._grade + place, NUM_GRADES - 1)
            right = guessed == self.tokens[self._length + place]
            self._hits[grade] = _MEMORY * self._hits[grade] + right
            self._trials[grade] = _MEMORY * self._trials[grade] + 1
            if not right:
                break
        self._guess = []

    def gains(self, grade: int, count: int) -> list[float]:
        """For each of `count` guessed tokens the probability that it and all before it come true."""
        gains, gain, share = [], 1.0, 0.0
        for place in range(count):
            at = min(grade + place, NUM_GRADES - 1)
            before, share = share, self._hits[at] / self._trials[at]
            if not self._tried_all and self._trials[at] == _PRIOR_WEIGHT:
                share = max(share, _NEARLY * before)
            gain *= share
            if gain < _LEAST_GAIN:
                break
            gains.append(gain)
        return gains
