"""Which replica has seen a prompt's beginning: `PrefixIndex`, and the blocks that it compares. Knows nothing of Ray.

A prompt is cut in blocks of characters; each block's hash includes those before it, so that equal hashes mean equal
beginnings. Text stands in for tokens here: this only decides where to ask, and the engine compares tokens itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any, Final, Generic, TypeVar

BLOCK_CHARS: Final = 128
MAX_BLOCKS: Final = 256
_REMEMBERED = 1 << 16  # blocks of each replica

K = TypeVar("K", bound=Hashable)

# What comes before what in a prompt, for each path.
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "/v1/chat/completions": ("model", "tools", "messages"),
    "/v1/completions": ("model", "prompt"),
    "/v1/responses": ("model", "tools", "instructions", "input"),
    "/v1/messages": ("model", "tools", "system", "messages"),
}


def prompt_blocks(path: str, body: bytes) -> tuple[bytes, ...]:
    """Hashes of the blocks of a request's prompt; empty where there is no prompt, or a short one."""
    fields = _FIELDS.get(path)
    if fields is None:
        return ()
    try:
        asked: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ()  # whoever answers it says so
    if not isinstance(asked, dict):
        return ()
    text = "\n".join(json.dumps(asked[field]) for field in fields if field in asked)
    blocks: list[bytes] = []
    last = b""
    for start in range(0, min(len(text), MAX_BLOCKS * BLOCK_CHARS) - BLOCK_CHARS + 1, BLOCK_CHARS):
        last = hashlib.blake2b(last + text[start : start + BLOCK_CHARS].encode(), digest_size=8).digest()
        blocks.append(last)
    return tuple(blocks)


class PrefixIndex(Generic[K]):
    """Blocks that each replica has computed of late, and how many requests each one is computing.

    Args:
        slack: requests that a replica may have more than the least busy one and still be preferred for what it has in
            its cache.
    """

    def __init__(self, slack: int = 4) -> None:
        self._slack = slack
        self._seen: dict[K, OrderedDict[bytes, None]] = {}
        self._running: dict[K, int] = {}
        self._turns: dict[K, int] = {}
        self._turn = 0

    def keep(self, replicas: set[K]) -> None:
        """Forgets all others."""
        self._seen = {key: seen for key, seen in self._seen.items() if key in replicas}
        self._running = {key: count for key, count in self._running.items() if key in replicas}
        self._turns = {key: turn for key, turn in self._turns.items() if key in replicas}

    def begun(self, replica: K, blocks: tuple[bytes, ...]) -> None:
        """A request went there."""
        self._running[replica] = self._running.get(replica, 0) + 1
        seen = self._seen.setdefault(replica, OrderedDict())
        for block in reversed(blocks):  # the first of them is forgotten last
            seen[block] = None
            seen.move_to_end(block)
        while len(seen) > _REMEMBERED:
            seen.popitem(last=False)

    def ended(self, replica: K) -> None:
        """One of its requests has ended."""
        if replica in self._running:
            self._running[replica] = max(0, self._running[replica] - 1)

    def ranked(self, replicas: list[K], blocks: tuple[bytes, ...]) -> list[K]:
        """The replicas, best first: those that have the longest beginning unless they are too busy, then the idlest.

        Equals take turns: requests that come together are all ranked before the first of them has `begun`, and would
        all go to one replica otherwise.
        """
        running = {replica: self._running.get(replica, 0) for replica in replicas}
        least = min(running.values(), default=0)

        def rank(replica: K) -> tuple[int, int, int]:
            fits = running[replica] <= least + self._slack
            return -self._matched(replica, blocks) if fits else 0, running[replica], self._turns.get(replica, 0)

        ranked = sorted(replicas, key=rank)
        if ranked:
            self._turn += 1
            self._turns[ranked[0]] = self._turn
        return ranked

    def _matched(self, replica: K, blocks: tuple[bytes, ...]) -> int:
        seen = self._seen.get(replica)
        count = 0
        for block in blocks:
            if seen is None or block not in seen:
                break
            count += 1
        return count
