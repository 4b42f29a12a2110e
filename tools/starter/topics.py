"""A topic: facts, the one sentence that answers each, and the phrasings that ask for it.

A phrasing is a format string over the slots of a fact. Each topic keeps some phrasings out of training; accuracy is
measured on those. Phrasings of one topic must not fit another: the model would have to guess. The topics stand in
`places.py`, `elements.py`, `numbers.py`, `words.py`, `about.py` and `chatter.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Slots = dict[str, str]


@dataclass(frozen=True)
class Phrasings:
    """Ways to ask: `train` is seen in training, `held_out` never is."""

    train: Sequence[str]
    held_out: Sequence[str]


NONE = Phrasings((), ())


@dataclass(frozen=True)
class Topic:
    """One kind of fact.

    `ask` stands alone. `follow` only makes sense after a turn of the same topic ("And of Italy?"), `pronoun` only
    after a turn about the same `subject` slot ("On which continent is it?").
    """

    name: str
    group: str
    weight: float
    facts: Sequence[Slots]
    answer: str
    ask: Phrasings
    follow: Phrasings = NONE
    pronoun: Phrasings = NONE
    subject: str = ""

    def reply(self, fact: Slots) -> str:
        """The answer, as a sentence: the first letter is a capital unless the fact itself is written small."""
        text = self.answer.format(**fact)
        return text if text.startswith(("hearth ", "make ")) else text[:1].upper() + text[1:]


def lines(text: str) -> tuple[str, ...]:
    """A phrasing per line."""
    return tuple(line.strip() for line in text.strip().splitlines())


def asked(train: str, held_out: str) -> Phrasings:
    """Phrasings from two texts, one per line."""
    return Phrasings(lines(train), lines(held_out))
