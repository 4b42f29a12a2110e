"""Guessing with a smaller model of the same vocabulary: `DraftModel`.

Owns that model's keys and values. They follow the sequences: what was guessed stays computed as far as it came true and
is overwritten from there on; a prompt is read when its sequence is first asked for.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence as Seq

from hearth.engine.batch import Batch
from hearth.engine.draft import Ask, Draft
from hearth.engine.forward import Forward
from hearth.engine.paged import PagedTokens
from hearth.engine.pages import PagePool, pages_for_tokens
from hearth.engine.scheduler import Slice
from hearth.errors import UsageError

_FEW_TOKENS = 8  # that a sequence may bring into the first forward of a draft; more are read ahead, in chunks


class DraftModel:
    """A `Drafter` that takes the likeliest tokens of a small model.

    Args:
        session: the small model, used by nobody else meanwhile. With too few pages for all sequences the longest unused
            ones are forgotten, and read again when they are asked for.
        context: tokens of prompt and answer together that it follows; it makes no guess beyond.
        vocab_size: of the model that verifies; other tokens are never guessed.

    Raises:
        UsageError: the context is out of range.
    """

    free = False
    prior = 0.75

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
        self._pool = PagePool(session.num_pages, info.page_tokens)
        self._batch = Batch(info, self._table_stride)
        self._max_asks = min(info.max_seqs, info.max_logit_rows, info.max_tokens)
        self._followers: dict[int, _Follower] = {}  # longest unused first

    def propose(self, asks: Seq[Ask]) -> list[Draft]:
        drafting: list[tuple[_Follower, int]] = []
        for ask in asks[: self._max_asks]:
            limit = min(ask.limit, self._context - len(ask.tokens))
            follower = self._follow(ask) if limit > 0 else None
            if follower is not None and self._has_pages(follower, len(ask.tokens) + limit - 1, drafting):
                drafting.append((follower, limit))
        few = max(1, min(_FEW_TOKENS, self._info.max_tokens // max(1, len(drafting))))
        for follower, _ in drafting:
            self._read_ahead(follower, few)
        depth = 0
        while going := [follower for follower, limit in drafting if depth < limit and not follower.ended]:
            self._extend(going)
            depth += 1
        guesses = {id(follower.source): follower.guessed for follower, _ in drafting}
        return [Draft(guesses.get(id(ask.tokens), [])) for ask in asks]

    def forget(self, request_id: int) -> None:
        follower = self._followers.pop(request_id, None)
        if follower is not None:
            follower.give_up_pages(self._pool)

    def reset(self) -> None:
        self._followers.clear()
        self._pool.release_everything()

    def _follow(self, ask: Ask) -> _Follower | None:
        """The sequence's follower, brought up to its tokens; None if the small model does not know one of them."""
        follower = self._followers.pop(ask.id, None)
        if follower is not None and follower.source is not ask.tokens:
            follower.give_up_pages(self._pool)
            follower = None
        if follower is None:
            follower = _Follower(ask.tokens, page_tokens=self._info.page_tokens, table_stride=self._table_stride)
            follower.start(self._pool, self._pool.find(follower.chain))
        self._followers[ask.id] = follower  # now the last
        fresh = follower.catch_up(self._pool)
        if self._info.vocab_size < self._vocab_size and max(fresh, default=0) >= self._info.vocab_size:
            follower.unknown = True
        return None if follower.unknown else follower

    def _has_pages(self, follower: _Follower, num_tokens: int, drafting: list[tuple[_Follower, int]]) -> bool:
        needed = pages_for_tokens(num_tokens, self._info.page_tokens) - len(follower.pages)
        if needed > self._pool.num_available:
            busy = {id(other) for other, _ in drafting} | {id(follower)}
            for request_id in [key for key, other in self._followers.items() if id(other) not in busy]:
                self.forget(request_id)
                if needed <= self._pool.num_available:
                    break
            else:
                return False
        for _ in range(needed):
            follower.add_page(self._pool.allocate())
        return True

    def _read_ahead(self, follower: _Follower, few: int) -> None:
        while (pending := len(follower.tokens) - follower.num_written) > few:
            count = min(pending - 1, self._info.max_tokens)
            self._batch.fill([Slice(follower, follower.num_written, count)], self._session)
            self._batch.run(self._session, ())
            follower.write(self._pool, count)

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
            follower.write(self._pool, part.count)
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
        unknown: it has a token that the small model does not have.
        ended: the last guess was no token of the sequence's vocabulary.
    """

    def __init__(self, source: array[int], *, page_tokens: int, table_stride: int) -> None:
        super().__init__(array("i", source), page_tokens=page_tokens, table_stride=table_stride)
        self.source = source
        self.num_written = 0
        self.unknown = False
        self.ended = False
        self._num_known = 0  # tokens of the source, at the last `catch_up`

    @property
    def guessed(self) -> list[int]:
        return self.tokens[self._num_known :].tolist()

    def catch_up(self, pool: PagePool) -> array[int]:
        """Keeps the guesses that came true, replaces the others, and returns the tokens that it had not seen."""
        self.ended = False
        self.num_written = max(self.num_written, self.num_computed)
        fresh = self.source[self._num_known :]
        same = self._num_known
        while same < min(len(self.tokens), len(self.source)) and self.tokens[same] == self.source[same]:
            same += 1
        del self.tokens[same:]
        self.tokens.extend(self.source[same:])
        self._num_known = len(self.source)
        # The last token's logits are wanted, so it is computed again even if it was guessed.
        self.num_written = min(self.num_written, same, len(self.tokens) - 1)
        self.commit(pool, max(0, self.num_written - self.num_computed))
        return fresh

    def write(self, pool: PagePool, count: int) -> None:
        """The next `count` tokens have been computed."""
        self.num_written += count
        self.commit(pool, max(0, min(self.num_written, self._num_known) - self.num_computed))
