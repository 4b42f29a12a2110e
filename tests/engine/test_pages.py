"""No page may leak, be used twice, or be found for tokens it does not hold."""

from __future__ import annotations

from array import array

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from hearth.engine.pages import PagePool, Prefix
from hearth.engine.prefix import HashChain
from hearth.errors import NotEnoughMemory

PAGES, SIZE = 12, 2


class Holder:
    """A sequence as the pool sees it: tokens, how many are written, and its pages."""

    def __init__(self, tokens: list[int]) -> None:
        self.chain = HashChain(array("i", tokens), SIZE)
        self.pages: list[int] = []
        self.written = 0


class PoolMachine(RuleBasedStateMachine):
    """Sequences with few distinct tokens, so that they often share beginnings, in a small pool."""

    holders = Bundle("holders")

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(PAGES, SIZE)
        self.memory: dict[int, list[int | None]] = {page: [None] * SIZE for page in range(PAGES)}
        self.live: list[Holder] = []

    @rule(target=holders, tokens=st.lists(st.integers(0, 1), min_size=1, max_size=12))
    def start(self, tokens):
        holder = Holder(tokens)
        prefix = self.pool.find(holder.chain)
        assert prefix.num_tokens < len(tokens)
        if prefix.taken is not None:
            assert self.pool.refs(prefix.taken) == 0
        self.pool.hold(prefix)
        holder.pages, holder.written = list(prefix.pages), prefix.num_tokens
        found = [token for page in holder.pages for token in self.memory[page]][: holder.written]
        # Page for page the found tokens are the sought ones, and what is before them too: the whole chain is equal.
        assert found == tokens[: holder.written]
        self.live.append(holder)
        return holder

    @rule(holder=holders, count=st.integers(1, 5))
    def write(self, holder, count):
        if holder not in self.live:
            return
        for _ in range(min(count, len(holder.chain.tokens) - holder.written)):
            if holder.written == len(holder.pages) * SIZE:
                try:
                    holder.pages.append(self.pool.allocate())
                except NotEnoughMemory:
                    assert self.pool.num_available == 0
                    return
            block, slot = divmod(holder.written, SIZE)
            page = holder.pages[block]
            assert self.pool.refs(page) == 1, "a shared page is written"
            self.memory[page][slot] = holder.chain.tokens[holder.written]
            holder.written += 1
            if slot == SIZE - 1:
                self.pool.publish_block(page, holder.chain, block)

    @rule(holder=holders, token=st.integers(0, 1))
    def grow(self, holder, token):
        holder.chain.tokens.append(token)

    def _end(self, holder: Holder) -> bool:
        if holder not in self.live:
            return False
        self.live.remove(holder)
        return True

    @rule(holder=consumes(holders))
    def finish(self, holder):
        if self._end(holder):
            block, tail = divmod(holder.written, SIZE)
            if tail:
                self.pool.publish_tail(holder.pages[block], holder.chain, block, tail)
            self.pool.release(holder.pages)

    @rule(holder=consumes(holders))
    def fail(self, holder):
        if self._end(holder):
            self.pool.forget(holder.pages)
            self.pool.release(holder.pages)
            assert not any(self.pool.is_idle(page) for page in holder.pages)

    @rule()
    def interrupt(self):
        self.pool.release_everything()
        self.live.clear()
        assert self.pool.num_available == PAGES

    @invariant()
    def every_page_is_counted_once(self):
        held = [page for holder in self.live for page in holder.pages]
        for page in range(PAGES):
            assert self.pool.refs(page) == held.count(page)
        assert len(set(held)) + self.pool.num_available == PAGES
        for holder in self.live:
            assert len(set(holder.pages)) == len(holder.pages)
            tokens = [token for page in holder.pages for token in self.memory[page]][: holder.written]
            assert tokens == list(holder.chain.tokens[: holder.written])


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_hash_collision_is_found_out_by_the_tokens():
    pool = PagePool(4, 2)
    chain, other = HashChain(array("i", [1, 2, 3]), 2), HashChain(array("i", [4, 5, 6]), 2)
    page = pool.allocate()
    pool.publish_block(page, chain, 0)
    other._digests.append(chain.digest(1))  # as if both had the same hash
    assert pool.find(chain).shared == (page,)
    assert pool.find(other) == Prefix()


def test_a_page_released_twice_is_an_error():
    pool = PagePool(4, 2)
    page = pool.allocate()
    pool.release([page])
    with pytest.raises(AssertionError):
        pool.release([page])
