"""Pictures of earlier turns are not read again, and what is kept of them has an end."""

from __future__ import annotations

import numpy as np

from hearth.chat.recent_tiles import RecentTiles
from hearth.image.tiles import Tiles


def tiles(number: int) -> Tiles:
    return Tiles((np.full((10, 10, 3), number, np.uint8),))


def test_a_file_is_cut_up_once_while_it_is_among_the_last() -> None:
    recent, cut = RecentTiles(most_bytes=700), []  # two pictures of 300 bytes

    def ask(name: bytes, number: int) -> int:
        def make() -> Tiles:
            cut.append(name)
            return tiles(number)

        return int(recent.of(name, make).pixels[0][0, 0, 0])

    assert [ask(b"a", 1), ask(b"b", 2), ask(b"a", 1), ask(b"c", 3), ask(b"a", 1), ask(b"b", 2)] == [1, 2, 1, 3, 1, 2]
    assert cut == [b"a", b"b", b"c", b"b"]
    assert RecentTiles(most_bytes=10).of(b"large", lambda: tiles(4)).pixels[0].max() == 4
