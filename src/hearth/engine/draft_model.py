"""Guessing with a smaller model of the same vocabulary: `DraftModel`.

Owns what that model's device holds. It follows the sequences: what was guessed stays computed as far as it came true
and is overwritten from there on; a prompt is read when its sequence is first asked for. Where the small model has a
state, each guess leaves it in a slot of its own, so that the follower goes back to that after the last one that came
true.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from collections.abc import Sequence as Seq

from hearth.engine.batch import Batch
from hearth.engine.draft import Ask, Computed, Draft
from hearth.engine.forward import Forward
from hearth.engine.memory import DeviceMemory
from hearth.engine.paged import PagedTokens
from hearth.engine.pages import Prefix, pages_for_tokens
from hearth.engine.scheduler import Slice
from hearth.errors import UsageError

_FEW_TOKENS = 8  # that a sequence may bring into the first forward of a draft; more are read ahead, in chunks


class DraftModel:
    """A `Drafter` that takes the likeliest tokens of a small model.

    Args:
        session: the small model, used by nobody else meanwhile. With too few pages or slots for all sequences the
            longest unused ones are forgotten, and read again when they are asked for.
        context: tokens of prompt and answer together that it follows; it makes no guess beyond.
        vocab_size: of the model that verifies; other tokens are never guessed.

    Raises:
        UsageError: the context is out of range.
    """

    free = False
    prior = 0.75
    reads_hidden = False

    def __init__(self, session: Forward, *, context: int, vocab_size: int) -> None:
        info = session.info
        if not 2 <= context <= info.max_position:
            raise UsageError(f"The draft model's context is {context}, but it takes 2 to {info.max_position} tokens.")
        self.token_ns = 0.0
        self._session = session
        self._info = info
        self._vocab_size = vocab_size
        self._table_stride = min(pages_for_tokens(context, info.page_tokens), session.num_pages)
        self._context = min(context, self._table_stride * info.page_tokens)
        slots = session.num_slots
        self._memory = DeviceMemory(session.num_pages, info.page_tokens, slots)
        self._batch = Batch(info, self._table_stride, slots)
        self._max_asks = min(info.max_seqs, info.max_logit_rows, info.max_tokens)
        self._followers: dict[int, _Follower] = {}  # longest unused first

    def follow(self, computed: Seq[Computed]) -> None:
        pass

    def propose(self, asks: Seq[Ask]) -> list[Draft]:
        drafting: list[tuple[_Follower, int]] = []
        for ask in asks[: self._max_asks]:
            limit = min(ask.limit, self._context - len(ask.tokens))
            follower = self._follow(ask, drafting) if limit > 0 else None
            if follower is not None and self._has_pages(follower, len(ask.tokens) + limit - 1, drafting):
                drafting.append((follower, limit))
        few = max(1, min(_FEW_TOKENS, self._info.max_tokens // max(1, len(drafting))))
        for follower, _ in drafting:
            self._read_ahead(follower, few)
        depth = 0
        while going := [follower for follower, limit in drafting if depth < limit and follower.prepares(self._memory)]:
            self._extend(going)
            depth += 1
        guesses = {id(follower.source): follower.guessed for follower, _ in drafting}
        return [Draft(guesses.get(id(ask.tokens), [])) for ask in asks]

    def forget(self, request_id: int) -> None:
        follower = self._followers.pop(request_id, None)
        if follower is not None:
            follower.give_up(self._memory)

    def reset(self) -> None:
        self._followers.clear()
        self._memory.release_everything()

    def _follow(self, ask: Ask, drafting: list[tuple[_Follower, int]]) -> _Follower | None:
        """The sequence's follower, brought up to its tokens; None if the small model does not know one of them, or has
        no room for it."""
        follower = self._followers.pop(ask.id, None)
        if follower is not None and follower.source is not ask.tokens:
            follower.give_up(self._memory)
            follower = None
        if follower is None:
            follower = _Follower(ask.tokens, page_tokens=self._info.page_tokens, table_stride=self._table_stride)
        self._followers[ask.id] = follower  # now the last
        fresh = follower.catch_up(self._memory)
        if self._info.vocab_size < self._vocab_size and max(fresh, default=0) >= self._info.vocab_size:
            follower.unknown = True
        if follower.unknown:
            return None
        if not follower.started:
            if not self._make_room(lambda: self._memory.has_slot, follower, drafting):
                return None
            follower.start(self._memory, self._memory.find(follower.chain))
        return follower

    def _has_pages(self, follower: _Follower, num_tokens: int, drafting: list[tuple[_Follower, int]]) -> bool:
        needed = pages_for_tokens(num_tokens, self._info.page_tokens) - len(follower.pages)
        pages = self._memory.pages
        if not self._make_room(lambda: needed <= pages.num_available, follower, drafting):
            return False
        for _ in range(needed):
            follower.add_page(pages.allocate())
        return True

    def _make_room(
        self, is_enough: Callable[[], bool], follower: _Follower, drafting: list[tuple[_Follower, int]]
    ) -> bool:
        """Forgets the longest unused followers until there is enough for this one."""
        busy = {id(other) for other, _ in drafting} | {id(follower)}
        idle = [key for key, other in self._followers.items() if id(other) not in busy]
        while not is_enough():
            if not idle:
                return False
            self.forget(idle.pop(0))
        return True

    def _read_ahead(self, follower: _Follower, few: int) -> None:
        while (pending := len(follower.tokens) - follower.num_written) > few:
            count = min(pending - 1, self._info.max_tokens)
            follower.prepare(self._memory, follower.num_written, follower.num_written + count)
            self._batch.fill([Slice(follower, follower.num_written, count)], self._session)
            self._batch.run(self._session, ())
            follower.write(self._memory, count)
            follower.settle(self._memory, follower.num_written)

    def _extend(self, followers: list[_Follower]) -> None:
        """One forward: each follower's next guess."""
        slices = [Slice(f, f.num_written, len(f.tokens) - f.num_written) for f in followers]
        begin = time.perf_counter_ns()
        self._batch.fill(slices, self._session)
        argmax = self._batch.run(self._session, ("argmax",)).argmax.tolist()
        taken = time.perf_counter_ns() - begin
        if max(part.count for part in slices) <= 2:  # else it was catching up, which a guess seldom has to
            # Delays of others shall not look like ours: they count as twice as long at most.
            known = self.token_ns or taken
            self.token_ns = known + 0.2 * (min(taken, 2 * known) - known)
        for part, follower, token in zip(slices, followers, argmax, strict=True):
            follower.write(self._memory, part.count)
            if token < self._vocab_size:
                follower.tokens.append(token)
            else:
                follower.ended = True


class _Follower(PagedTokens):
    """One sequence as the small model sees it: its tokens, and behind them what is guessed.

    Attributes:
        source: the sequence's own tokens.
        num_written: leading tokens, guesses among them, whose keys and values are in the pages. `num_computed` counts
            those alone that are known to be the sequence's: only they may be shared.
        started: whether it holds anything yet.
        unknown: it has a token that the small model does not have.
        ended: the last guess was no token of the sequence's vocabulary, or there is no slot for one more.
    """

    def __init__(self, source: array[int], *, page_tokens: int, table_stride: int) -> None:
        super().__init__(array("i", source), page_tokens=page_tokens, table_stride=table_stride)
        self.source = source
        self.num_written = 0
        self.started = False
        self.unknown = False
        self.ended = False
        self._num_known = 0  # tokens of the source, at the last `catch_up`

    @property
    def guessed(self) -> list[int]:
        return self.tokens[self._num_known :].tolist()

    def start(self, memory: DeviceMemory, prefix: Prefix) -> None:
        super().start(memory, prefix)
        self.num_written = self.num_computed
        self.started = True

    def forget(self) -> None:
        super().forget()
        self.num_written = 0
        self.started = False

    def catch_up(self, memory: DeviceMemory) -> array[int]:
        """Keeps the guesses that came true, replaces the others, and returns the tokens that it had not seen."""
        self.ended = False
        fresh = self.source[self._num_known :]
        same = self._num_known
        while same < min(len(self.tokens), len(self.source)) and self.tokens[same] == self.source[same]:
            same += 1
        del self.tokens[same:]
        self.tokens.extend(self.source[same:])
        self._num_known = len(self.source)
        # The last token's logits are wanted, so it is computed again even if it was guessed.
        self.num_written = min(self.num_written, same, len(self.tokens) - 1)
        self.commit(memory, max(0, self.num_written - self.num_computed))
        if memory.states.num_slots and not self.state.has(self.num_written):
            self.give_up(memory)  # asked for the same token once more, its state is written over
        self.settle(memory, self.num_written)
        return fresh

    def prepares(self, memory: DeviceMemory) -> bool:
        """Whether there is a next guess, and a slot for the state before it."""
        states, known = memory.states, self._num_known
        if self.num_written < known:
            self.prepare(memory, self.num_written, len(self.tokens))
        elif not self.ended:
            self.ended = self.state.guess(states, self.num_written, 1) < 1
        return not self.ended

    def write(self, memory: DeviceMemory, count: int) -> None:
        """The next `count` tokens have been computed."""
        self.num_written += count
        self.commit(memory, max(0, min(self.num_written, self._num_known) - self.num_computed))
