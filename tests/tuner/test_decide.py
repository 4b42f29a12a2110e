"""Decisions from noisy times. If these fail, tuning keeps what is not faster, or never finds what is."""

from __future__ import annotations

import math
import random

import pytest

from hearth.tuner.decide import Gain, gain, weighted


def noisy(times: random.Random, typical: float, disturbed: float) -> float:
    """A time with jitter; now and then another program takes the core."""
    return typical * times.uniform(0.97, 1.03) * (times.uniform(2, 30) if times.random() < disturbed else 1)


def test_equal_times_are_no_gain() -> None:
    assert gain([5.0] * 5, [5.0] * 5) == Gain(0.0, 0.0)


def test_a_gain_is_a_ratio_of_times() -> None:
    assert gain([2.0, 4.0, 8.0], [1.0, 2.0, 4.0]).ratio == pytest.approx(2.0)
    assert gain([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]).ratio == pytest.approx(0.5)


def test_what_slows_both_alike_does_not_matter() -> None:
    """A neighbour that halves the machine for some rounds."""
    slow = [1.0, 1.0, 7.0, 3.0, 1.0, 9.0, 1.0]
    found = gain([10 * s for s in slow], [8 * s for s in slow])
    assert found.ratio == pytest.approx(1.25)
    assert found.error == pytest.approx(0.0, abs=1e-9)


def test_disturbed_rounds_are_told_apart() -> None:
    """With one time in seven disturbed, 10 % is found, and chance is rarely called a clear gain."""
    times = random.Random(1)
    lucky = 0
    for _ in range(200):
        base = [noisy(times, 100, 0.15) for _ in range(25)]
        assert abs(gain(base, [noisy(times, 100 / 1.1, 0.15) for _ in range(25)]).log - math.log(1.1)) < 0.06
        lucky += gain(base, [noisy(times, 100, 0.15) for _ in range(25)]).least > 0.01
    assert lucky < 10


def test_weights() -> None:
    both = weighted([Gain(0.1, 0.01), Gain(-0.1, 0.01)], [3, 1])
    assert both.log == pytest.approx(0.05)
    assert both.error == pytest.approx(math.hypot(0.0075, 0.0025))
