"""Who uses which page of keys and values: `PagePool`.

A `CountedPool` (`counted.py`) that shares pages; knows them as numbers, never their bytes. What a page holds is
remembered in `prefix.py`.

Full pages are shared: they are never written again. A partly filled last page will be written by whoever continues
it, so it is *taken over* by one sequence, and only when its former one has finished.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.engine.counted import CountedPool
from hearth.engine.prefix import HashChain, PrefixIndex
from hearth.errors import NotEnoughMemory, UsageError


def pages_for_tokens(num_tokens: int, page_tokens: int) -> int:
    """Pages that hold `num_tokens` tokens of one sequence."""
    return -(-num_tokens // page_tokens)


@dataclass(frozen=True)
class Prefix:
    """What holds the beginning of a token list already.

    Attributes:
        shared: full pages, in order.
        taken: page after them of which the first tokens are right and which the finder would have to itself.
        num_tokens: tokens that need not be computed again.
        slot: the checkpoint after these tokens, of a model with state (`states.py`).
    """

    shared: tuple[int, ...] = ()
    taken: int | None = None
    num_tokens: int = 0
    slot: int | None = None

    @property
    def pages(self) -> tuple[int, ...]:
        return self.shared if self.taken is None else (*self.shared, self.taken)


class PagePool(CountedPool):
    """Reference-counted pages with a prefix cache.

    Args:
        num_pages: pages the session has.
        page_tokens: tokens in a page.
        prefix_cache: whether to remember what idle pages hold.
    """

    def __init__(self, num_pages: int, page_tokens: int, *, prefix_cache: bool = True) -> None:
        if num_pages < 1 or page_tokens < 1:
            raise UsageError(f"A page pool of {num_pages} pages of {page_tokens} tokens holds nothing.")
        self._index = PrefixIndex()
        super().__init__(num_pages, self._index)
        self.num_pages = num_pages
        self.page_tokens = page_tokens
        self.prefix_cache = prefix_cache

    def allocate(self) -> int:
        """A page of one's own, its content unspecified.

        Raises:
            NotEnoughMemory: every page is held.
        """
        page = self._give_out()
        if page is None:
            raise NotEnoughMemory(
                f"All {self.num_pages} pages of {self.page_tokens} tokens are in use.",
                hint="Use a smaller context or fewer sequences at once.",
            )
        return page

    def publish_block(self, page: int, chain: HashChain, index: int) -> None:
        """A held page is now full with block `index` of the chain: others may share it."""
        if self.prefix_cache:
            self._index.add_block(page, chain, index)

    def publish_tail(self, page: int, chain: HashChain, index: int, num_tokens: int) -> None:
        """The only holder of a partly filled page will release it next: whoever continues its tokens may have it."""
        if self.prefix_cache and self._refs[page] == 1 and page not in self._index:
            self._index.add_tail(page, chain, index, num_tokens)

    def find_full(self, chain: HashChain) -> list[int]:
        """The full pages of the longest known beginning of the chain's tokens, but for the last token: its logits are
        still wanted."""
        limit = len(chain.tokens) - 1
        shared: list[int] = []
        while (len(shared) + 1) * self.page_tokens <= limit:
            page = self._index.find_block(chain, len(shared))
            if page is None:
                break
            shared.append(page)
        return shared

    def find_tail(self, chain: HashChain, index: int, num_tokens: int) -> int | None:
        """The page that was left with exactly the first tokens of block `index` of the chain."""
        return self._index.find_whole_tail(chain, index, num_tokens)

    def find(self, chain: HashChain) -> Prefix:
        """The longest known beginning of the chain's tokens, but for the last token: its logits are still wanted."""
        limit = len(chain.tokens) - 1
        shared = self.find_full(chain)
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
            self._share(page)
        if prefix.taken is not None:
            self._take_over(prefix.taken)
