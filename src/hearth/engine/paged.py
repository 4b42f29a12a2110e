"""Tokens and what the device holds of them: `PagedTokens`.

Owns the list of pages with their keys and values, the slots of state (`held_state.py`), and how many of the tokens
these hold; knows neither requests nor drawing.
"""

from __future__ import annotations

from array import array

import numpy as np

from hearth.engine.adapters import LoadedAdapter
from hearth.engine.checkpoints import Landmarks
from hearth.engine.embedded import NONE, EmbeddedTokens
from hearth.engine.forward import Int32s
from hearth.engine.held_state import HeldState
from hearth.engine.memory import DeviceMemory
from hearth.engine.pages import Prefix
from hearth.engine.prefix import ROOT_DIGEST, HashChain


class PagedTokens:
    """Tokens of one sequence on their way through a model.

    Args:
        tokens: int32 ids; may grow at its end. Kept, not copied.
        table_stride: pages that it may hold at most.
        embedded: which of the tokens stand for something else.
        keep_tokens: leading tokens that other rows are likely to have too.
        adapter: that they are computed with; None: with the model alone.

    Attributes:
        num_prompt_tokens: leading tokens that were given rather than drawn.
        num_computed: leading tokens whose keys and values are in the pages.
        pages: pages held, in the order of the tokens.
        state: slots held, where the model has a state.
        block_table: int32 (table_stride,), the same with -1 beyond, ready to be copied into a batch.
    """

    def __init__(
        self,
        tokens: array[int],
        *,
        page_tokens: int,
        table_stride: int,
        embedded: EmbeddedTokens = NONE,
        keep_tokens: int = 0,
        adapter: LoadedAdapter | None = None,
    ) -> None:
        self.tokens = tokens
        self.embedded = embedded
        self.adapter = adapter
        self.chain = HashChain(tokens, page_tokens, embedded, adapter.key if adapter else ROOT_DIGEST)
        self.num_prompt_tokens = len(tokens)
        self.num_computed = 0
        self.pages: list[int] = []
        self.state = HeldState()
        self.keep_tokens = keep_tokens
        self.block_table: Int32s = np.full(table_stride, -1, np.int32)
        self._num_published = 0  # leading pages that are in the prefix cache

    @property
    def num_pending(self) -> int:
        """Tokens whose keys and values are still to be computed."""
        return len(self.tokens) - self.num_computed

    @property
    def landmarks(self) -> Landmarks:
        """Where its state is worth keeping."""
        return Landmarks(self.chain.page_tokens, self.num_prompt_tokens, self.keep_tokens)

    def start(self, memory: DeviceMemory, prefix: Prefix) -> None:
        """Begins with what is held of a prefix of its tokens."""
        memory.pages.hold(prefix)
        self.state.start(memory.states, prefix.slot, prefix.num_tokens, alone=prefix.taken is not None)
        self.pages = list(prefix.pages)
        self.block_table[: len(self.pages)] = self.pages
        self.num_computed = prefix.num_tokens
        self._num_published = len(prefix.shared)

    def prepare(self, memory: DeviceMemory, start: int, stop: int) -> None:
        """The next forward computes tokens [start, stop), and there are pages for them."""
        if memory.states.num_slots:
            self.state.prepare(memory.states, self.chain, start, stop, self.landmarks)

    def add_page(self, page: int) -> None:
        self.block_table[len(self.pages)] = page
        self.pages.append(page)

    def commit(self, memory: DeviceMemory, count: int) -> None:
        """The forward has computed the next `count` tokens: pages that are full now may be shared."""
        self.num_computed += count
        pages = memory.pages
        while (self._num_published + 1) * pages.page_tokens <= self.num_computed:
            pages.publish_block(self.pages[self._num_published], self.chain, self._num_published)
            self._num_published += 1

    def settle(self, memory: DeviceMemory, length: int) -> None:
        """All of the forward that is kept is committed: the next one goes on after the first `length` tokens."""
        if self.state.written:  # else there is no state, or all has been given up meanwhile
            self.state.settle(memory.states, self.chain, length, self.landmarks)

    def leave(self, memory: DeviceMemory, *, spoiled: bool = False) -> None:
        """Tells the prefix cache what is held, right before it is released: nothing if that is `spoiled`."""
        if spoiled:
            memory.pages.forget(self.pages)
            memory.states.forget_along(self.chain)
            return
        full, tail = divmod(self.num_computed, memory.pages.page_tokens)
        if tail:
            memory.pages.publish_tail(self.pages[full], self.chain, full, tail)
        if memory.states.num_slots:
            self.state.leave(memory.states, self.chain, self.num_computed, self.landmarks)

    def give_up(self, memory: DeviceMemory, *, spoiled: bool = False) -> None:
        """Releases all pages and slots. What they hold stays in the prefix cache unless it is `spoiled`."""
        self.leave(memory, spoiled=spoiled)
        memory.pages.release(self.pages)
        self.state.release(memory.states)
        self.forget()

    def forget(self) -> None:
        """Holds nothing any more (it was released elsewhere), so nothing is computed."""
        # In this order: after an interrupt in between, fewer tokens count as computed than there are pages for.
        self.num_computed = 0
        self._num_published = 0
        self.block_table[: len(self.pages)] = -1
        self.pages = []
        self.state.forget()
