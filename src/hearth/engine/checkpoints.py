"""After which tokens a state is kept, and which slot holds it: `Landmarks` and `CheckpointIndex`.

Owns the map from token prefixes to slots, nothing of who uses a slot or when it is freed (`states.py`). A state is of
all tokens before it, however many, so it is found by exactly these: by the digest of their full blocks
(`prefix.HashChain`), and on a hit all of them are compared, and what they stand for (`embedded.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hearth.engine.prefix import HashChain

INTERVAL_TOKENS = 512
"""A text has a checkpoint at least so often, as far as there are slots; in long texts it is every eighth of them."""

_PER_DOUBLING = 8


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Lengths of one text after which its state is worth a slot: all at the ends of pages, where the keys and values
    before them can be shared.

    Attributes:
        page_tokens: tokens in a page.
        prompt: tokens of the prompt. Its last full page before its last token, whose logits are always wanted, is where
            the same prompt goes on when it is asked again.
        kept: tokens of its beginning that other texts have too.
    """

    page_tokens: int
    prompt: int
    kept: int = 0

    @property
    def ends(self) -> tuple[int, int]:
        """Where other texts are likely to depart, ascending."""
        kept, prompt = (self._floor(length) for length in (self.kept, self.prompt - 1))
        return min(kept, prompt), max(kept, prompt)

    def is_lasting(self, length: int) -> bool:
        """Whether it stays worth a slot when the text goes on."""
        return length in self.ends or self._is_regular(length)

    def is_worth(self, length: int) -> bool:
        """Whether it is worth a slot now: a lasting one, or the end of the last page that the answer has filled."""
        return length % self.page_tokens == 0 and (length > self.ends[1] or self.is_lasting(length))

    def between(self, start: int, stop: int) -> Iterator[int]:
        """The lasting ones after `start` and before `stop`, most wanted first: the ends, then the latest."""
        ends = [length for length in self.ends[::-1] if start < length < stop]
        yield from dict.fromkeys(ends)
        for length in range(self._floor(stop - 1), start, -self.page_tokens):
            if length not in ends and self._is_regular(length):
                yield length

    def _floor(self, length: int) -> int:
        return length // self.page_tokens * self.page_tokens

    def _is_regular(self, length: int) -> bool:
        interval = -(-INTERVAL_TOKENS // self.page_tokens) * self.page_tokens
        while length > _PER_DOUBLING * interval:
            interval *= 2
        return length % interval == 0


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    parent: bytes  # digest of the full blocks before it
    num_tokens: int
    tokens: bytes
    marks: bytes
    lasting: bool

    def is_of(self, chain: HashChain) -> bool:
        """Whether the chain's tokens begin with those before this state."""
        return chain.beginning(self.num_tokens) == (self.tokens, self.marks)


class CheckpointIndex:
    """Slots by the tokens after which they hold the state. A slot is in it at most once, and so is a prefix."""

    def __init__(self) -> None:
        self._entries: dict[int, _Checkpoint] = {}
        self._slots: dict[bytes, list[int]] = {}  # by the digest of the full blocks

    def __contains__(self, slot: int) -> bool:
        return slot in self._entries

    def add(self, slot: int, chain: HashChain, num_tokens: int, *, lasting: bool) -> None:
        """Says that `slot` holds the state after the chain's first `num_tokens` tokens, which is not known yet."""
        parent = chain.digest(num_tokens // chain.page_tokens)
        tokens, marks = chain.beginning(num_tokens)
        self._entries[slot] = _Checkpoint(parent, num_tokens, tokens, marks, lasting)
        self._slots.setdefault(parent, []).append(slot)

    def remove(self, slot: int) -> None:
        """Forgets what `slot` holds, if it is known at all."""
        entry = self._entries.pop(slot, None)
        if entry is None:
            return
        slots = self._slots[entry.parent]
        slots.remove(slot)
        if not slots:
            del self._slots[entry.parent]

    def find(self, chain: HashChain, num_tokens: int) -> int | None:
        """The slot with the state after exactly so many of the chain's tokens."""
        for slot in self._slots.get(chain.digest(num_tokens // chain.page_tokens), ()):
            entry = self._entries[slot]
            if entry.num_tokens == num_tokens and entry.is_of(chain):
                return slot
        return None

    def lengths(self, chain: HashChain, index: int) -> list[int]:
        """How many tokens there may be before the states that lie in block `index`, its end not included, longest
        first: such that `find` has to say whether they are of this chain."""
        slots = self._slots.get(chain.digest(index), ())
        return sorted({self._entries[slot].num_tokens for slot in slots}, reverse=True)

    def is_lasting(self, slot: int) -> bool:
        return self._entries[slot].lasting

    def along(self, chain: HashChain) -> list[int]:
        """Slots that hold states after beginnings of the chain."""
        return [slot for slot, entry in self._entries.items() if entry.is_of(chain)]

    def rebuild(self) -> None:
        """Makes the look-up table anew from the entries: an interrupt may have fallen between two of their updates."""
        self._slots.clear()
        for slot, entry in self._entries.items():
            self._slots.setdefault(entry.parent, []).append(slot)
