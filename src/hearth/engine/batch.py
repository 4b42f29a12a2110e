"""The arrays of one ragged forward: `Batch`.

Owns the buffers, allocated once; knows the layout that `forward.Forward` asks for and nothing of why a token is in it.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Sequence as Seq
from typing import Any

import numpy as np

from hearth.engine.adapters import LoadedAdapter
from hearth.engine.forward import Float32s, Forward, ForwardInfo, ForwardResult, Int32s
from hearth.engine.scheduler import S, Slice
from hearth.engine.states import NOWHERE


class Batch:
    """Reused from step to step.

    Args:
        info: bounds of a forward.
        table_stride: pages in a row of the block table.
        num_slots: slots of state that the session has.
    """

    def __init__(self, info: ForwardInfo, table_stride: int, num_slots: int) -> None:
        self._has_state = num_slots > 0
        self._state_from: Int32s = np.full(info.max_seqs, NOWHERE, np.int32)
        self._state_to: Int32s = np.full(info.max_tokens, NOWHERE, np.int32)
        self._adapters: Int32s = np.zeros((info.max_seqs, 2), np.int32)
        self._has_adapters = False
        self._looks_ahead = info.looks_ahead
        self._last_seen: Int32s | None = None
        self._rope_positions: Int32s = np.zeros((info.max_tokens, info.rope_streams), np.int32)
        self._embeddings: tuple[Float32s, Int32s] | None = None  # rows, and for which tokens of the batch
        self._token_ids: Int32s = np.zeros(info.max_tokens, np.int32)
        self._positions: Int32s = np.zeros(info.max_tokens, np.int32)
        self._token_seq: Int32s = np.zeros(info.max_tokens, np.int32)
        self._logit_rows: Int32s = np.zeros(info.max_logit_rows, np.int32)
        self._block_table: Int32s = np.full((info.max_seqs, table_stride), -1, np.int32)
        self._num_tokens = self._num_prompt_tokens = self._num_seqs = self._num_rows = 0
        self._firsts: list[int] = []

    @property
    def num_rows(self) -> int:
        """Rows of logits that the batch asks for."""
        return self._num_rows

    @property
    def firsts(self) -> list[int]:
        """The place of the first token of each slice."""
        return self._firsts

    def fill(self, slices: Seq[Slice[S]], session: Forward) -> None:
        """Lays out the slices one after the other, prompts first, those of one adapter together, with one row of logits
        for each that wants them and one more for each token of its draft; these rows are in the order of the slices.
        What tokens stand for is made into embeddings, as far as it has not been."""
        embedded: list[tuple[Int32s, Float32s]] = []
        num_rows = 0
        self._firsts = []
        starts, prompts, end = self._placed(slices)
        if self._has_state:
            self._state_to[:] = NOWHERE
        self._has_adapters = False
        for row, part in enumerate(slices):
            first = starts[row]
            last = first + part.count
            self._firsts.append(first)
            self._token_ids[first:last] = part.sequence.tokens[part.start : part.start + part.count]
            self._positions[first:last] = np.arange(part.start, part.start + part.count)
            self._token_seq[first:last] = row
            if self._rope_positions.size:
                behind = first + part.count + len(part.draft)
                self._rope_positions[first:behind] = self._turned_by(part, behind - first)
            self._block_table[row] = part.sequence.block_table
            adapter = part.sequence.adapter
            self._adapters[row] = (adapter.first, adapter.count) if adapter else (0, 0)
            self._has_adapters = self._has_adapters or adapter is not None
            if self._has_state:
                self._state_from[row] = part.sequence.state.after(part.start)
                for length, slot in part.sequence.state.written.items():
                    if part.start < length:
                        self._state_to[first + length - part.start - 1] = slot
            if part.sequence.embedded:
                for at, rows in part.sequence.embedded.rows(part.start, part.start + part.count, session):
                    place = first + at - part.start
                    embedded.append((np.arange(place, place + len(rows), dtype=np.int32), rows))
            if part.wants_logits:
                self._logit_rows[num_rows] = last - 1
                num_rows += 1
            if part.draft:
                first, last = last, last + len(part.draft)
                self._token_ids[first:last] = part.draft
                self._positions[first:last] = np.arange(part.start + part.count, part.start + part.count + last - first)
                self._token_seq[first:last] = row
                self._logit_rows[num_rows : num_rows + last - first] = np.arange(first, last)
                num_rows += last - first
        self._num_tokens, self._num_prompt_tokens = end, prompts
        self._num_seqs, self._num_rows = len(slices), num_rows
        self._embeddings = self._last_seen = None
        if embedded and self._looks_ahead:
            self._last_seen = self._positions[: self._num_tokens].copy()
            for places, _ in embedded:
                self._last_seen[places] = self._positions[places[-1]]
        if embedded:
            self._embeddings = np.concatenate([r for _, r in embedded]), np.concatenate([p for p, _ in embedded])

    @staticmethod
    def _placed(slices: Seq[Slice[S]]) -> tuple[list[int], int, int]:
        """Where the tokens of each slice begin, how many of the first ones are of prompts, and how many there are."""

        def kind(row: int) -> tuple[bool, int]:
            adapter = slices[row].sequence.adapter
            return not slices[row].is_prompt, adapter.first if adapter else -1

        starts, end, prompts = [0] * len(slices), 0, 0
        for row in sorted(range(len(slices)), key=kind):
            part = slices[row]
            starts[row] = end
            end += part.count + len(part.draft)
            prompts += part.count if part.is_prompt else 0
        return starts, prompts, end

    def _turned_by(self, part: Slice[S], count: int) -> Int32s:
        return part.sequence.embedded.rope_positions(part.start, part.start + count, self._rope_positions.shape[1])

    def fill_one(
        self,
        token_ids: Int32s,
        start: int,
        block_table: Int32s,
        slot: int,
        adapter: LoadedAdapter | None = None,
        *,
        logits: bool,
    ) -> None:
        """Lays out tokens [start, start + n) of one sequence, all of a prompt, with logits for all of them or none.

        Args:
            token_ids: int32 (n,).
            block_table: int32 (table_stride,).
            slot: holds the state after the tokens before, and will hold that after these.
            adapter: that they are computed with.
        """
        self._embeddings = self._last_seen = None
        self._has_adapters = adapter is not None
        self._adapters[0] = (adapter.first, adapter.count) if adapter else (0, 0)
        count = token_ids.shape[0]
        self._token_ids[:count] = token_ids
        self._positions[:count] = np.arange(start, start + count)
        self._rope_positions[:count] = self._positions[:count, None]
        self._token_seq[:count] = 0
        self._block_table[0] = block_table
        self._state_from[0] = slot if start else NOWHERE
        self._state_to[: count - 1] = NOWHERE
        self._state_to[count - 1] = slot
        self._num_tokens = self._num_prompt_tokens = count
        self._num_seqs, self._num_rows = 1, count if logits else 0
        self._logit_rows[: self._num_rows] = np.arange(self._num_rows)

    def run(self, session: Forward, wanted: Collection[str]) -> ForwardResult:
        """Computes what was laid out; `wanted` is what of the result will be read."""
        arrays = (
            self._token_ids[: self._num_tokens],
            self._positions[: self._num_tokens],
            self._token_seq[: self._num_tokens],
            self._block_table[: self._num_seqs],
            self._logit_rows[: self._num_rows],
            self._num_prompt_tokens,
        )
        more: dict[str, Any] = {"wanted": wanted}
        if self._rope_positions.size:
            more["rope_positions"] = self._rope_positions[: self._num_tokens]
        if self._has_state:
            more["state_from"] = self._state_from[: self._num_seqs]
            more["state_to"] = self._state_to[: self._num_tokens]
        if self._has_adapters:
            more["adapters"] = self._adapters[: self._num_seqs]
        if self._embeddings is not None:
            rows, places = self._embeddings
            more |= {"embeddings": rows, "embedded_tokens": places, "last_seen": self._last_seen}
        return session.forward(*arrays, **more)
