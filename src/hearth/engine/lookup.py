"""Guessing from the text itself: `PromptLookup`.

Summaries, edits, code and answers about a document repeat what stands before them. The last tokens are looked up among
all earlier ones of the sequence, the longest match first, and what followed there is the guess (Saxena, "Prompt lookup
decoding", 2023). No second model; a token costs a few microseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Seq

from hearth.engine.draft import NUM_GRADES, Ask, Draft

MAX_NGRAM = 3
"""Tokens looked up at once. Longer matches are found by following a match of three."""


class PromptLookup:
    """A `Drafter` that continues the latest earlier occurrence of a sequence's last tokens.

    The grade of a guess is the length of the match that it continues, less one: a match of one token says little, one
    of eight nearly always goes on.
    """

    free = True
    prior = 0.3
    token_ns = 0.0

    def __init__(self) -> None:
        self._indices: dict[int, _Index] = {}

    def propose(self, asks: Seq[Ask]) -> list[Draft]:
        drafts = []
        for ask in asks:
            index = self._indices.get(ask.id)
            if index is None or index.tokens is not ask.tokens:
                index = self._indices[ask.id] = _Index(ask.tokens)
            drafts.append(index.draft(ask.limit))
        return drafts

    def forget(self, request_id: int) -> None:
        self._indices.pop(request_id, None)

    def reset(self) -> None:
        self._indices.clear()


class _Index:
    """Where each n-gram of one sequence stood last, and the match that is being followed.

    Attributes:
        source: place of the token that the match says comes next.
        match: tokens before it that equal the sequence's last ones, counted up to NUM_GRADES; 0: there is no match.
    """

    def __init__(self, tokens: array[int]) -> None:
        self.tokens = tokens
        self.source = 0
        self.match = 0
        self._num_seen = 0
        # n-gram -> place of the token after its last occurrence. The tokens of an n-gram make one integer: dictionaries
        # of integers are twice as fast as those of tuples.
        self._tables: tuple[dict[int, int], ...] = tuple({} for _ in range(MAX_NGRAM))

    def draft(self, limit: int) -> Draft:
        """At most `limit` tokens; O(limit) and O(1) for each token that has come since."""
        self._update()
        if self.match == 0:
            return Draft([])
        guess = self.tokens[self.source : self.source + limit].tolist()
        # The match may be so near that its continuation is what is being guessed: a loop goes round.
        while len(guess) < limit:
            guess.append(guess[self.source + len(guess) - len(self.tokens)])
        return Draft(guess, self.match - 1)

    def _update(self) -> None:
        """Takes in the tokens that have come since the last call."""
        tokens = self.tokens
        for place in range(self._num_seen, len(tokens)):
            if self.match and tokens[self.source] == tokens[place]:
                self.source += 1
                self.match = min(self.match + 1, NUM_GRADES)
            else:
                self.match = 0
            self._add(place)
        self._num_seen = len(tokens)
        if self.match < MAX_NGRAM:
            self._find()

    def _add(self, place: int) -> None:
        """Learns that the token at `place` follows the n-grams that end right before it."""
        key = 0
        for size, table in enumerate(self._tables, 1):
            if size > place:
                return
            key = key << 32 | self.tokens[place - size]
            table[key] = place

    def _find(self) -> None:
        tokens, end = self.tokens, len(self.tokens)
        keys, key = [], 0
        for size in range(1, min(MAX_NGRAM, end) + 1):
            key = key << 32 | tokens[end - size]
            keys.append(key)
        for size in range(len(keys), self.match, -1):
            source = self._tables[size - 1].get(keys[size - 1])
            if source is not None:
                while size < min(NUM_GRADES, source) and tokens[source - 1 - size] == tokens[end - 1 - size]:
                    size += 1
                self.source, self.match = source, size
                return
