"""From noisy times to a decision. Gains are natural logarithms of (time of the first) / (time of this one)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CLEAR = 2.0
"""Standard errors that a gain must be away from what would be none."""
_MEDIAN_ERROR = 1.2533 * 1.4826  # of a median over a mean, times a standard deviation over a median deviation


@dataclass(frozen=True)
class Gain:
    """How much faster something is.

    Attributes:
        log: the gain; 0.02 is 2 % faster, negative is slower.
        error: its standard error.
    """

    log: float
    error: float

    @property
    def least(self) -> float:
        """What the gain is at least, as far as can be told."""
        return self.log - CLEAR * self.error

    @property
    def most(self) -> float:
        return self.log + CLEAR * self.error

    @property
    def ratio(self) -> float:
        """1.02 is 2 % faster."""
        return math.exp(self.log)


def undisturbed(times: Sequence[float]) -> float:
    """A fifth of the times are shorter: other programs make steps slower, never faster, and on a busy machine most."""
    return sorted(times)[len(times) // 5]


def gain(first: Sequence[float], other: Sequence[float]) -> Gain:
    """The gain of `other` over `first`, measured in the same rounds: robust against rounds that something disturbed.

    Args:
        first, other: times, one a round; at least 2 rounds.
    """
    logs = [math.log(max(a, 1e-9) / max(b, 1e-9)) for a, b in zip(first, other, strict=True)]
    middle = statistics.median(logs)
    spread = statistics.median(abs(value - middle) for value in logs)
    return Gain(middle, _MEDIAN_ERROR * spread / math.sqrt(len(logs)))


def weighted(gains: Sequence[Gain], weights: Sequence[float]) -> Gain:
    """The mean gain; `weights` need not sum to one."""
    total = sum(weights)
    log = sum(w * g.log for g, w in zip(gains, weights, strict=True)) / total
    error = math.sqrt(sum((w * g.error) ** 2 for g, w in zip(gains, weights, strict=True))) / total
    return Gain(log, error)
