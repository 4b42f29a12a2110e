"""Numbers as people read them."""

from __future__ import annotations

import pytest

from hearth.units import counted, format_bytes


@pytest.mark.parametrize(("number", "told"), [(0, "0 requests"), (1, "1 request"), (2, "2 requests")])
def test_one_is_not_many(number: int, told: str) -> None:
    assert counted(number, "request") == told


@pytest.mark.parametrize(
    ("size", "told"), [(0, "0 bytes"), (1023, "1023 bytes"), (12 << 20, "12 MiB"), (3 << 29, "1.5 GiB")]
)
def test_sizes_are_in_powers_of_1024(size: int, told: str) -> None:
    assert format_bytes(size) == told
