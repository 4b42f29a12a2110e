"""Who uses which page of keys and values: `PagePool`.

Owns the reference counts, the free list and the order of eviction; knows pages as numbers, never their bytes. What a
page holds is remembered in `prefix.py`.

A page is in exactly one of three states: *free* (nobody's, nothing worth keeping), *held* (by one or more sequences)
or *idle* (nobody's, but it holds a known prefix). Idle pages are evicted, longest unused first, when no page is free.

Full pages are shared: they are never written again. A partly filled last page will be written by whoever continues
it, so it is *taken over* by one sequence, and only when its former one has finished.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence as Seq
from dataclasses import dataclass

from hearth.engine.prefix import HashChain, PrefixIndex
from hearth.errors import NotEnoughMemory, UsageError


def pages_for_tokens(num_tokens: int, page_tokens: int) -> int:
    """Pages that hold `num_tokens` tokens of one sequence."""
    return -(-num_tokens // page_tokens)


@dataclass(frozen=True)
class Prefix:
    """Pages that hold the beginning of a token list already.

    Attributes:
        shared: full pages, in order.
        taken: page after them of which the first tokens are right and which the finder would have to itself.
        num_tokens: tokens that need not be computed again.
    """

    shared: tuple[int, ...] = ()
    taken: int | None = None
    num_tokens: int = 0

    @property
    def pages(self) -> tuple[int, ...]:
        return self.shared if self.taken is None else (*self.shared, self.taken)


class PagePool:
    """Reference-counted pages with a prefix cache.

    Args:
        num_pages: pages the session has.
        page_tokens: tokens in a page.
        prefix_cache: whether to remember what idle pages hold.
    """

    def __init__(self, num_pages: int, page_tokens: int, *, prefix_cache: bool = True) -> None:
        if num_pages < 1 or page_tokens < 1:
            raise UsageError(f"A page pool of {num_pages} pages of {page_tokens} tokens holds nothing.")
        self.num_pages = num_pages
        self.page_tokens = page_tokens
        self.prefix_cache = prefix_cache
        self._refs = [0] * num_pages
        self._free = list(range(num_pages - 1, -1, -1))  # taken from the end: page 0 first
        self._idle: OrderedDict[int, None] = OrderedDict()  # longest unused first
        self._index = PrefixIndex()

    @property
    def num_available(self) -> int:
        """Pages that `allocate` can still give out, by eviction if need be."""
        return len(self._free) + len(self._idle)

    def refs(self, page: int) -> int:
        """Sequences that hold the page."""
        return self._refs[page]

    def is_idle(self, page: int) -> bool:
        return page in self._idle

    def allocate(self) -> int:
        """A page of one's own, its content unspecified.

        Raises:
            NotEnoughMemory: every page is held.
        """
        if self._free:
            page = self._free.pop()
        elif self._idle:
            page, _ = self._idle.popitem(last=False)
            self._index.remove(page)
        else:
            raise NotEnoughMemory(
                f"All {self.num_pages} pages of {self.page_tokens} tokens are in use.",
                hint="Use a smaller context or fewer sequences at once.",
            )
        self._refs[page] = 1
        return page

    def release(self, pages: Seq[int]) -> None:
        """Gives back one hold on each of a sequence's pages, in their order."""
        # From the last to the first, so that the end of a prefix is evicted before its beginning.
        for page in reversed(pages):
            if self._refs[page] < 1:
                raise AssertionError(f"page {page} is released but nobody holds it")
            self._refs[page] -= 1
            if self._refs[page] == 0:
                if page in self._index:
                    self._idle[page] = None
                else:
                    self._free.append(page)

    def forget(self, pages: Seq[int]) -> None:
        """What these held pages hold may be wrong: nobody shall find it."""
        for page in pages:
            self._index.remove(page)

    def forget_everything(self) -> None:
        """No page holds anything any more that could be found."""
        self.forget(range(self.num_pages))
        self.release_everything()

    def publish_block(self, page: int, chain: HashChain, index: int) -> None:
        """A held page is now full with block `index` of the chain: others may share it."""
        if self.prefix_cache:
            self._index.add_block(page, chain, index)

    def publish_tail(self, page: int, chain: HashChain, index: int, num_tokens: int) -> None:
        """The only holder of a partly filled page will release it next: whoever continues its tokens may have it."""
        if self.prefix_cache and self._refs[page] == 1 and page not in self._index:
            self._index.add_tail(page, chain, index, num_tokens)

    def find(self, chain: HashChain) -> Prefix:
        """The longest known beginning of the chain's tokens, but for the last token: its logits are still wanted."""
        limit = len(chain.tokens) - 1
        shared: list[int] = []
        while (len(shared) + 1) * self.page_tokens <= limit:
            page = self._index.find_block(chain, len(shared))
            if page is None:
                break
            shared.append(page)
        index = len(shared)
        rest = min(limit - index * self.page_tokens, self.page_tokens)
        if rest <= 0:
            return Prefix(tuple(shared), None, index * self.page_tokens)
        tail = self._index.find_tail(chain, index, rest)
        if rest == self.page_tokens - 1 and limit + 1 == (index + 1) * self.page_tokens:
            # The tokens end with a full block that is known. Its last token is to be computed, so the page is written
            # again: possible if nobody holds it.
            page = self._index.find_block(chain, index)
            if page is not None and self._refs[page] == 0:
                tail = (page, rest)
        if tail is None:
            return Prefix(tuple(shared), None, index * self.page_tokens)
        return Prefix(tuple(shared), tail[0], index * self.page_tokens + tail[1])

    def hold(self, prefix: Prefix) -> None:
        """Takes hold of what `find` found; nothing may have happened to the pool in between."""
        for page in prefix.shared:
            self._idle.pop(page, None)
            self._refs[page] += 1
        if prefix.taken is not None:
            self._index.remove(prefix.taken)
            del self._idle[prefix.taken]
            self._refs[prefix.taken] = 1

    def release_everything(self) -> None:
        """Nobody holds anything any more; what full and idle pages hold stays known.

        Mends the pool after an interrupt in the middle of any of its methods.
        """
        self._index.rebuild()
        known = [page for page in range(self.num_pages) if page in self._index]
        order = {page: place for place, page in enumerate(self._idle)}
        # Pages that were held until now count as used last.
        known.sort(key=lambda page: order.get(page, self.num_pages))
        self._refs = [0] * self.num_pages
        self._idle = OrderedDict.fromkeys(known)
        self._free = [page for page in range(self.num_pages - 1, -1, -1) if page not in self._idle]
