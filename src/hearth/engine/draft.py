"""Who guesses the next tokens: the `Drafter` protocol.

Owns what is asked of a drafter and what it answers. A guess is never trusted: the engine draws every token from the
model's own logits, so a drafter changes how fast tokens come and never which.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Seq
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from hearth.engine.forward import Float32s
    from hearth.engine.sequence import Sequence

MAX_DRAFT = 8
"""Tokens drafted at once. With 8 behind it a row of a product is far from free, and few drafts hold so long."""

NUM_GRADES = 8
"""How many kinds of guesses are told apart by how often they come true."""


def draft_limit(*, left: int | None, room: int, streams: int = 1) -> int:
    """Most tokens to guess where `left` may still be drawn (None: any number) and `room` more fit the context.

    A step draws one token more than were guessed. Sequences that decode together share what a draft may be: their rows
    make the step longer for all, and among many none shall come on more than twice as fast as another.

    Args:
        streams: sequences that decode together.
    """
    limit = min(max(1, MAX_DRAFT // streams), room - 1)
    return limit if left is None else min(limit, left - 1)


class Ask(NamedTuple):
    """A sequence for which tokens shall be guessed.

    Attributes:
        id: of the request.
        tokens: int32 ids of prompt and answer. The same array grows from ask to ask; when its beginning has changed (a
            window slid) it is another array.
        limit: most tokens wanted, at least 1.
    """

    id: int
    tokens: array[int]
    limit: int


class Computed(NamedTuple):
    """Tokens of a sequence that a forward has computed.

    Attributes:
        start: place of the first of them.
        hidden: float32 (n, hidden_size), a view that the next forward overwrites. Rows from the sequence's
            `num_computed` on belong to guesses that did not come true.
    """

    sequence: Sequence
    start: int
    hidden: Float32s


class Draft(NamedTuple):
    """Guessed tokens, in order; may be none.

    Attributes:
        grade: how good the first of them looks, 0 the least; each further one is a grade better, up to NUM_GRADES - 1.
            How often guesses of a grade come true is learned.
    """

    tokens: list[int]
    grade: int = 0


class Drafter(Protocol):
    """Guesses how sequences go on."""

    @property
    def free(self) -> bool:
        """Whether a guess costs next to nothing, so that it may be made only to learn how good it would have been."""
        ...

    @property
    def prior(self) -> float:
        """The share of its guesses that is taken to come true until there is experience, 0 .. 1."""
        ...

    @property
    def token_ns(self) -> float:
        """Nanoseconds that one more token in each of the drafts costs."""
        ...

    @property
    def reads_hidden(self) -> bool:
        """Whether it is to be told what is computed."""
        ...

    def follow(self, computed: Seq[Computed]) -> None:
        """What a forward has computed, after tokens were drawn; of each sequence all, one forward after the other. Not
        called for who does not read hidden states."""
        ...

    def propose(self, asks: Seq[Ask]) -> list[Draft]:
        """One draft for each ask, each at most as long as its limit; no request is in it twice."""
        ...

    def forget(self, request_id: int) -> None:
        """The request has ended. It may never have been asked for."""
        ...

    def reset(self) -> None:
        """A step was interrupted anywhere, `propose` included: nothing that is remembered may be trusted."""
        ...
