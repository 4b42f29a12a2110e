"""Pictures as they were cut up lately: a conversation shows its pictures again with every turn, and reading one takes
longer than most of what else is done before a step."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from hearth.image.tiles import Tiles

MOST_BYTES = 64 << 20


class RecentTiles:
    """Tiles by the bytes of the files that they were cut from: those that were asked for last, up to `most_bytes`.

    May be used from several threads at once.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._tiles: OrderedDict[bytes, Tiles] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, file: bytes, cut: Callable[[], Tiles]) -> Tiles:
        """The tiles of a file; `cut` makes them where they are not there."""
        key = blake2b(file, digest_size=32).digest()
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        tiles = cut()
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tiles
                self._size_bytes += _size_of(tiles)
            while self._size_bytes > self._most_bytes:
                self._size_bytes -= _size_of(self._tiles.popitem(last=False)[1])
        return tiles


def _size_of(tiles: Tiles) -> int:
    return sum(tile.nbytes for tile in tiles.pixels)
