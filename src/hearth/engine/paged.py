"""Tokens and the pages that hold their keys and values: `PagedTokens`.

Owns the list of pages of one row of tokens and how many of the tokens they hold; knows neither requests nor drawing.
"""

from __future__ import annotations

from array import array

import numpy as np

from hearth.engine.embedded import NONE, EmbeddedTokens
from hearth.engine.forward import Int32s
from hearth.engine.pages import PagePool, Prefix
from hearth.engine.prefix import HashChain


class PagedTokens:
    """Tokens of one sequence on their way through a model.

    Args:
        tokens: int32 ids; may grow at its end. Kept, not copied.
        table_stride: pages that it may hold at most.
        embedded: which of the tokens stand for something else.

    Attributes:
        num_prompt_tokens: leading tokens that were given rather than drawn.
        num_computed: leading tokens whose keys and values are in the pages.
        pages: pages held, in the order of the tokens.
        block_table: int32 (table_stride,), the same with -1 beyond, ready to be copied into a batch.
    """

    def __init__(
        self, tokens: array[int], *, page_tokens: int, table_stride: int, embedded: EmbeddedTokens = NONE
    ) -> None:
        self.tokens = tokens
        self.embedded = embedded
        self.chain = HashChain(tokens, page_tokens, embedded)
        self.num_prompt_tokens = len(tokens)
        self.num_computed = 0
        self.pages: list[int] = []
        self.block_table: Int32s = np.full(table_stride, -1, np.int32)
        self._num_published = 0  # leading pages that are in the prefix cache

    @property
    def num_pending(self) -> int:
        """Tokens whose keys and values are still to be computed."""
        return len(self.tokens) - self.num_computed

    def start(self, pool: PagePool, prefix: Prefix) -> None:
        """Begins with the pages that hold a prefix of its tokens."""
        pool.hold(prefix)
        self.pages = list(prefix.pages)
        self.block_table[: len(self.pages)] = self.pages
        self.num_computed = prefix.num_tokens
        self._num_published = len(prefix.shared)

    def add_page(self, page: int) -> None:
        self.block_table[len(self.pages)] = page
        self.pages.append(page)

    def commit(self, pool: PagePool, count: int) -> None:
        """The forward has computed the next `count` tokens: pages that are full now may be shared."""
        self.num_computed += count
        while (self._num_published + 1) * pool.page_tokens <= self.num_computed:
            pool.publish_block(self.pages[self._num_published], self.chain, self._num_published)
            self._num_published += 1

    def leave_pages(self, pool: PagePool, *, spoiled: bool = False) -> None:
        """Tells the prefix cache what the pages hold, right before they are released: nothing if that is `spoiled`."""
        if spoiled:
            pool.forget(self.pages)
            return
        full, tail = divmod(self.num_computed, pool.page_tokens)
        if tail:
            pool.publish_tail(self.pages[full], self.chain, full, tail)

    def give_up_pages(self, pool: PagePool, *, spoiled: bool = False) -> None:
        """Releases all pages. What they hold stays in the prefix cache unless it is `spoiled`."""
        self.leave_pages(pool, spoiled=spoiled)
        pool.release(self.pages)
        self.forget_pages()

    def forget_pages(self) -> None:
        """Holds no page any more (they were released elsewhere), so nothing is computed."""
        # In this order: after an interrupt in between, fewer tokens count as computed than there are pages for.
        self.num_computed = 0
        self._num_published = 0
        self.block_table[: len(self.pages)] = -1
        self.pages = []
