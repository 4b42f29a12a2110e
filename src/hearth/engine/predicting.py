"""Guessing with the model's own block that predicts further tokens (multi-token prediction): `PredictingBlock`.

The block (docs/speculation.md) makes of a token and the hidden state before it a guess of the token after, and a hidden
state to go on from to the one after that. Its keys and values lie in pages of the sequences themselves, at the position
of the hidden state: so they are kept and found with those of the model, and it needs neither pages nor a memory of its
own. It has to be given the hidden states of all that is computed; those of a few tokens wait until it is asked for a
guess, or until there are many.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from collections.abc import Sequence as Seq
from typing import Any

import numpy as np

from hearth.engine.draft import Ask, Computed, Draft
from hearth.engine.forward import Float32s, Forward, ForwardResult
from hearth.engine.sequence import Sequence

_MOST_WAITING = 16
"""Tokens of a sequence that wait for the block, at most: it reads so many in little more time than one."""


class PredictingBlock:
    """A `Drafter` that takes the likeliest tokens of the model's own block.

    Args:
        session: that of the model.
    """

    free = False
    prior = 0.7
    reads_hidden = True

    def __init__(self, session: Forward) -> None:
        info = session.info
        self.token_ns = 0.0
        self._session = session
        self._info = info
        self._most_rows = min(info.max_seqs, info.max_logit_rows, info.max_tokens)
        self._followers: dict[int, _Follower] = {}

    def follow(self, computed: Seq[Computed]) -> None:
        many = []
        for sequence, start, hidden in computed:
            count = sequence.num_computed - start
            if count <= 0:  # it has ended, or is to be computed again
                self.forget(sequence.id)
                continue
            follower = self._followers.get(sequence.id)
            if follower is None or follower.stop != start:
                follower = self._followers[sequence.id] = _Follower(sequence, start)
            follower.add(hidden[:count])
            if follower.num_waiting > _MOST_WAITING:
                many.append(follower)
        self._read(many)

    def propose(self, asks: Seq[Ask]) -> list[Draft]:
        drafting: list[tuple[_Follower, int]] = []
        for ask in asks[: self._most_rows]:
            follower = self._followers.get(ask.id)
            if follower is not None and follower.is_before_last(ask):
                drafting.append((follower, min(ask.limit, follower.room(self._info.page_tokens))))
        if sum(follower.num_waiting for follower, _ in drafting) > self._info.max_tokens:
            self._read([follower for follower, _ in drafting])
        guesses: dict[int, list[int]] = {follower.sequence.id: [] for follower, _ in drafting}
        tokens = [follower.waiting() for follower, _ in drafting]
        depth = 0
        while drafting:
            tokens = self._extend(tokens, guesses)
            depth += 1
            going = [depth < limit for _, limit in drafting]
            drafting = [each for each, goes in zip(drafting, going, strict=True) if goes]
            tokens = [each for each, goes in zip(tokens, going, strict=True) if goes]
        return [Draft(guesses.get(ask.id, [])) for ask in asks]

    def forget(self, request_id: int) -> None:
        self._followers.pop(request_id, None)

    def reset(self) -> None:
        self._followers.clear()

    def _read(self, followers: Iterable[_Follower]) -> None:
        """Gives the block what waits, but the last token of each sequence, whose logits may be wanted yet."""
        rest = list(followers)
        while rest:
            parts, room = [], self._info.max_tokens
            for follower in rest[: self._info.max_seqs]:
                if count := min(follower.num_waiting - 1, room):
                    parts.append(follower.waiting(count))
                    room -= count
            if parts:
                self._run(parts, ())
            rest = [follower for follower in rest if follower.num_waiting > 1]

    def _extend(self, parts: list[_Tokens], guesses: dict[int, list[int]]) -> list[_Tokens]:
        """One more guess for each sequence, and what the next is made of."""
        begin = time.perf_counter_ns()
        result = self._run(parts, ("argmax", "hidden"))
        taken = time.perf_counter_ns() - begin
        if all(part.count <= 2 for part in parts):  # else it was catching up, which a guess seldom has to
            # Delays of others shall not look like ours: they count as twice as long at most.
            known = self.token_ns or taken
            self.token_ns = known + 0.2 * (min(taken, 2 * known) - known)
        last = np.cumsum([part.count for part in parts]) - 1
        hidden = result.hidden[last]  # a copy
        for part, token in zip(parts, result.argmax.tolist(), strict=True):
            guesses[part.sequence.id].append(token)
        return [
            _Tokens(part.sequence, part.start + part.count, [guesses[part.sequence.id][-1]], row[None])
            for part, row in zip(parts, hidden, strict=True)
        ]

    def _run(self, parts: list[_Tokens], wanted: Collection[str]) -> ForwardResult:
        """The block over tokens of several sequences, with a row of logits for the last of each if any are wanted."""
        counts = [part.count for part in parts]
        positions = [np.arange(part.start, part.start + part.count, dtype=np.int32) for part in parts]
        more: dict[str, Any] = {}
        if streams := self._info.rope_streams:
            turned_by = (p.sequence.embedded.rope_positions(p.start, p.start + p.count, streams) for p in parts)
            more["rope_positions"] = np.concatenate(list(turned_by))
        return self._session.forward(
            np.array([token for part in parts for token in part.tokens], np.int32),
            np.concatenate(positions),
            np.repeat(np.arange(len(parts), dtype=np.int32), counts),
            np.stack([part.sequence.block_table for part in parts]),
            np.cumsum(counts, dtype=np.int32) - 1 if wanted else np.zeros(0, np.int32),
            0,
            wanted=wanted,
            hidden=np.ascontiguousarray(np.concatenate([part.hidden for part in parts])),
            **more,
        )


class _Tokens:
    """Tokens for the block.

    Attributes:
        start: the position of the first, which is that of the token before it.
        hidden: float32 (n, hidden_size), of the tokens before.
    """

    def __init__(self, sequence: Sequence, start: int, tokens: list[int], hidden: Float32s) -> None:
        self.sequence, self.start, self.tokens, self.hidden = sequence, start, tokens, hidden
        self.count = len(tokens)


class _Follower:
    """What the block knows of a sequence: all before `start`; and hidden states that wait.

    Attributes:
        stop: tokens of the sequence whose hidden states are known.
    """

    def __init__(self, sequence: Sequence, start: int) -> None:
        self.sequence = sequence
        self.stop = start
        self._rows: list[Float32s] = []

    @property
    def num_waiting(self) -> int:
        return sum(map(len, self._rows))

    def add(self, hidden: Float32s) -> None:
        """Those of the next tokens, which are copied."""
        self._rows.append(hidden.copy())
        self.stop += len(hidden)

    def is_before_last(self, ask: Ask) -> bool:
        """Whether something waits, and the last of it is before the sequence's last token."""
        return bool(self._rows) and self.sequence.tokens is ask.tokens and self.stop == len(ask.tokens) - 1

    def room(self, page_tokens: int) -> int:
        """How many tokens it may guess in the pages that the sequence has: the n-th takes the place of the token that
        is n - 2 behind the last one."""
        return len(self.sequence.pages) * page_tokens - len(self.sequence.tokens) + 2

    def waiting(self, count: int | None = None) -> _Tokens:
        """The first of what waits, which does so no longer; None: all."""
        rows = np.concatenate(self._rows)
        count = len(rows) if count is None else count
        start = self.stop - len(rows)
        self._rows = [rows[count:]] if count < len(rows) else []
        return _Tokens(self.sequence, start, self.sequence.tokens[start + 1 : start + 1 + count].tolist(), rows[:count])
