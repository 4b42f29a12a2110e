"""Which page holds which tokens: the index behind the prefix cache.

Owns the map from token prefixes to pages, nothing of who uses a page or when it is freed (`pages.py`). The keys and
values of a page depend on all tokens before it, so a full page is found by a chain of hashes: the digest of block i is
the hash of the digest of block i-1 and the tokens of block i. On a hit the tokens are compared as well. Tokens that
stand for something else, a picture, are the same only where that is (`embedded.py`); and all of a sequence only where
its adapter is, with whose key the chain begins (`adapters.py`).

A page that a finished sequence left partly filled is a *tail*, found by the digest of the full blocks before it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from hashlib import blake2b

from hearth.engine.embedded import DIGEST_BYTES, NONE, EmbeddedTokens

ROOT_DIGEST = b""


class HashChain:
    """Digests of the full blocks of one token list, each computed once.

    Args:
        tokens: int32 token ids; may grow at its end, but what is in it must not change.
        page_tokens: tokens in a block.
        embedded: which tokens stand for something else: they are equal only where that is.
        root: what all of them are computed with, beside the model itself: tokens are equal only where that is.
    """

    def __init__(
        self, tokens: array[int], page_tokens: int, embedded: EmbeddedTokens = NONE, root: bytes = ROOT_DIGEST
    ) -> None:
        self.tokens = tokens
        self.page_tokens = page_tokens
        self._embedded = embedded
        self.root = root
        self._digests = [root]

    def digest(self, num_blocks: int) -> bytes:
        """Digest of the first `num_blocks` full blocks."""
        while len(self._digests) <= num_blocks:
            index = len(self._digests) - 1
            content = self._digests[-1] + self.block(index) + self.marks(index)
            self._digests.append(blake2b(content, digest_size=16).digest())
        return self._digests[num_blocks]

    def block(self, index: int, num_tokens: int | None = None) -> bytes:
        """Tokens of block `index`, or its first `num_tokens`, as bytes."""
        start, stop = self._range(index, num_tokens)
        return self.tokens[start:stop].tobytes()

    def marks(self, index: int, num_tokens: int | None = None) -> bytes:
        """What the tokens of block `index`, or its first `num_tokens`, stand for (`EmbeddedTokens.marks`)."""
        return self._embedded.marks(*self._range(index, num_tokens)) if self._embedded else b""

    def beginning(self, num_tokens: int) -> tuple[bytes, bytes]:
        """The first tokens, and what they stand for and are computed with, as bytes: equal only where all are."""
        marks = self._embedded.marks(0, num_tokens) if self._embedded else b""
        return self.tokens[:num_tokens].tobytes(), self.root + marks

    def _range(self, index: int, num_tokens: int | None) -> tuple[int, int]:
        start = index * self.page_tokens
        return start, start + (self.page_tokens if num_tokens is None else num_tokens)


@dataclass(frozen=True)
class _Entry:
    parent: bytes  # digest of the full blocks before this page
    digest: bytes | None  # of the blocks up to and with this one; None: a tail
    tokens: bytes
    marks: bytes

    def begins_with(self, chain: HashChain, index: int, num_tokens: int) -> bool:
        """Whether the first tokens of block `index` of the chain are the first of this page."""
        marks = self.marks[: num_tokens * DIGEST_BYTES]
        wanted = chain.marks(index, num_tokens)
        same = marks == wanted if wanted else not any(marks)
        return same and self.tokens.startswith(chain.block(index, num_tokens))


class PrefixIndex:
    """Pages by what they hold. A page is in it at most once."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._full: dict[bytes, int] = {}
        self._tails: dict[bytes, list[int]] = {}

    def __contains__(self, page: int) -> bool:
        return page in self._entries

    def add_block(self, page: int, chain: HashChain, index: int) -> None:
        """Says that `page` holds full block `index` of the chain. A page already known for the block stays so."""
        digest = chain.digest(index + 1)
        if digest not in self._full and page not in self._entries:
            self._entries[page] = _Entry(chain.digest(index), digest, chain.block(index), chain.marks(index))
            self._full[digest] = page

    def add_tail(self, page: int, chain: HashChain, index: int, num_tokens: int) -> None:
        """Says that `page` holds the first `num_tokens` tokens of block `index` and belongs to nobody."""
        parent = chain.digest(index)
        self._entries[page] = _Entry(parent, None, chain.block(index, num_tokens), chain.marks(index, num_tokens))
        self._tails.setdefault(parent, []).append(page)

    def remove(self, page: int) -> None:
        """Forgets what `page` holds, if it is known at all."""
        entry = self._entries.pop(page, None)
        if entry is None:
            return
        if entry.digest is not None:
            del self._full[entry.digest]
            return
        tails = self._tails[entry.parent]
        tails.remove(page)
        if not tails:
            del self._tails[entry.parent]

    def find_block(self, chain: HashChain, index: int) -> int | None:
        """The page that holds full block `index`, after the same tokens before it."""
        page = self._full.get(chain.digest(index + 1))
        if page is None or not self._entries[page].begins_with(chain, index, chain.page_tokens):
            return None
        return page

    def find_tail(self, chain: HashChain, index: int, max_tokens: int) -> tuple[int, int] | None:
        """The longest tail that block `index` of the chain goes on from: (page, its tokens in common).

        At most `max_tokens` tokens of the block are compared, and a tail fits only if all of its tokens, or all
        `max_tokens`, are equal: taking one over for less would cost its conversation more than it saves here.
        """
        best: tuple[int, int] | None = None
        for page in self._tails.get(chain.digest(index), ()):
            entry = self._entries[page]
            common = min(len(entry.tokens) // array("i").itemsize, max_tokens)
            longer = common > (best[1] if best else 0)
            if longer and entry.begins_with(chain, index, common):
                best = (page, common)
        return best

    def find_whole_tail(self, chain: HashChain, index: int, num_tokens: int) -> int | None:
        """The tail that is the first `num_tokens` tokens of block `index` of the chain, and no more."""
        size = num_tokens * array("i").itemsize
        for page in self._tails.get(chain.digest(index), ()):
            entry = self._entries[page]
            if len(entry.tokens) == size and entry.begins_with(chain, index, num_tokens):
                return page
        return None

    def rebuild(self) -> None:
        """Makes the look-up tables anew from the entries: an interrupt may have fallen between two of their updates."""
        self._full.clear()
        self._tails.clear()
        for page, entry in list(self._entries.items()):
            if entry.digest is None:
                self._tails.setdefault(entry.parent, []).append(page)
            elif self._full.setdefault(entry.digest, page) != page:
                del self._entries[page]
