"""The likeliest tokens of a row of logits, as a forward tells them where it need not tell the row: `Likeliest`.

Knows when they say as much as the row does about who draws among the likeliest; nothing of how a token is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.engine.forward import Float32s, Int32s


@dataclass(frozen=True)
class Likeliest:
    """Attributes:
    logits: float32 (n,), the largest of a row, largest first.
    tokens: int32 (n,), whose they are, of equals the lowest first; -1 where the row has no more.
    """

    logits: Float32s
    tokens: Int32s

    def among(self, count: int) -> tuple[NDArray[np.intp], Float32s] | None:
        """The tokens of the `count` largest logits and of those equal to the last of them, ascending, and their logits;
        None: the row is needed, since it may have more of these, or no number.

        Args:
            count: above 0.
        """
        if count >= self.tokens.shape[0] or self.tokens[count] < 0:
            return None
        last = self.logits[count - 1]
        found = int(np.searchsorted(-self.logits, -last, side="right"))
        if found == self.tokens.shape[0] or not np.isfinite(self.logits[:found]).all():
            return None
        order = np.argsort(self.tokens[:found])
        return self.tokens[:found][order].astype(np.intp), self.logits[:found][order]
