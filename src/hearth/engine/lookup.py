"""Guessing from the text itself: `PromptLookup`.

Summaries, edits, code and answers about a document repeat what stands before them. The last tokens are looked up among
all earlier ones of the sequence, the longest match first, and what followed there is the guess (Saxena, "Prompt lookup
decoding", 2023). No second model; a token costs a few microseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Seq

from hearth.engine.draft import NUM_GRADES, Ask, Computed, Draft

MAX_NGRAM = 3
"""Tokens looked up at once, at most. A longer match is one of these that went on."""


class PromptLookup:
    """A `Drafter` that continues the latest earlier occurrence of a sequence's last tokens.

    The grade of a guess is the length of the match that it continues, less one: a match of one token says little, one
    of eight nearly always goes on.
    """

    free = True
    prior = 0.3
    token_ns = 0.0
    reads_hidden = False

    def __init__(self) -> None:
        self._indices: dict[int, _Index] = {}

    def follow(self, computed: Seq[Computed]) -> None:
        pass

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
        self._after1: dict[int, int] = {}
        self._after2: dict[int, int] = {}
        self._after3: dict[int, int] = {}

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
        after1, after2, after3 = self._after1, self._after2, self._after3
        for place in range(max(self._num_seen, 1), len(tokens)):
            if self.match:
                if tokens[self.source] == tokens[place]:
                    self.source += 1
                    self.match = min(self.match + 1, NUM_GRADES)
                else:
                    self.match = 0
            # The token at `place` follows the n-grams that end right before it.
            key = tokens[place - 1]
            after1[key] = place
            if place >= 2:
                key = key << 32 | tokens[place - 2]
                after2[key] = place
                if place >= 3:
                    after3[key << 32 | tokens[place - 3]] = place
        self._num_seen = len(tokens)
        if self.match < MAX_NGRAM:
            self._find()

    def _find(self) -> None:
        """Looks for a longer match than the one that is being followed."""
        tokens, end = self.tokens, len(self.tokens)
        key1 = tokens[-1]
        if key1 not in self._after1:
            return
        source = None
        if end > 2:
            key2 = key1 << 32 | tokens[-2]
            size, source = 3, self._after3.get(key2 << 32 | tokens[-3])
            if source is None and self.match < 2:
                size, source = 2, self._after2.get(key2)
        if source is None and self.match < 1:
            size, source = 1, self._after1[key1]
        if source is not None:
            while size < min(NUM_GRADES, source) and tokens[source - 1 - size] == tokens[end - 1 - size]:
                size += 1
            self.source, self.match = source, size
