"""What a sequence may say next: the `Constraint` protocol.

Owns what is asked of a grammar and what happens when it fails; knows no grammar. A constraint belongs to one request:
it is told of every token that is drawn, in order, and of no other, so that neither guesses nor a sequence that is
computed again ever reach it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hearth.errors import UsageError


class Constraint(Protocol):
    """Says which tokens may come next."""

    def mask(self) -> NDArray[np.int32] | None:
        """int32 (ceil(vocab_size / 32),): bit t % 32 of word t // 32 says whether token t may come. None: any may.

        Valid until the next call. Where the answer may end, the end tokens are allowed; where it must, only they are.
        """
        ...

    def accept(self, token: int) -> None:
        """The token was drawn. Raises if it is not allowed, which is a fault."""
        ...


class ConstraintFailed(UsageError):
    """A constraint allows no token at all, or broke: what its caller asked for cannot be kept to. The model is sound,
    and so is what it has computed."""


def allows(mask: NDArray[np.int32], token: int) -> bool:
    """Whether a mask lets the token come."""
    return bool((int(mask[token >> 5]) >> (token & 31)) & 1)


def ask_mask(constraint: Constraint) -> NDArray[np.int32] | None:
    """`Constraint.mask`; whatever goes wrong in it is a ConstraintFailed, the request's own."""
    try:
        return constraint.mask()
    except Exception as error:
        raise ConstraintFailed("What may come next cannot be told.", why=str(error)) from error


def tell(constraint: Constraint, token: int) -> None:
    """`Constraint.accept`, likewise."""
    try:
        constraint.accept(token)
    except Exception as error:
        raise ConstraintFailed(f"The drawn token {token} was refused.", why=str(error)) from error
