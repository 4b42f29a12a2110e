"""A language model in two parts: its first layers on one device, the rest on another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.errors import UsageError
from hearth.runtime.model import Model
from hearth.runtime.text import OUTPUTS, ForwardResult, TextInfo, TextSession


class SplitTextSession:
    """Runs forwards through two models of one bundle, one after the other, as `TextSession` does through one.

    Args:
        first: opened for the first layers.
        second: for all those behind them.
        num_pages: pages of the KV cache; each part has the keys and values of its own layers.
        threads: of the processor that compute, where a part runs on it.

    Raises:
        NotEnoughMemory: the memory of a part cannot be had.
        UsageError: the two are no two parts of a language model; a number is out of range.
        DeviceError: a GPU has too little memory, was lost or refuses the plan.
    """

    def __init__(self, first: Model, second: Model, *, num_pages: int, threads: int | None = None) -> None:
        a, b = first.info.layers, second.info.layers
        if (a.first, a.end, b.end, a.columns) != (0, b.first, b.count, b.columns) or a.count != b.count:
            raise UsageError(
                "These are no two parts of a model that make all of it.",
                why=f"They have layers {a.first} to {a.end} of {a.count}, and {b.first} to {b.end} of {b.count}.",
            )
        self.first = TextSession(first, num_pages=num_pages, threads=threads)
        try:
            self.second = TextSession(second, num_pages=num_pages, threads=threads)
        except BaseException:
            self.first.close()
            raise
        self.num_pages = num_pages
        self.info: TextInfo = joined(first, second)

    @property
    def threads(self) -> int:
        """Threads that compute on the processor."""
        return self.second.threads

    @property
    def closed(self) -> bool:
        """Whether the session, or one of its models, was closed."""
        return self.first.closed or self.second.closed

    @property
    def size_bytes(self) -> int:
        """Memory that both parts asked for, each on its device."""
        return self.first.size_bytes + self.second.size_bytes

    def forward(
        self,
        token_ids: ArrayLike,
        positions: ArrayLike,
        token_seq: ArrayLike,
        block_table: ArrayLike,
        logit_rows: ArrayLike = (),
        num_prompt_tokens: int = 0,
        embeddings: NDArray[np.float32] | None = None,
        embedded_tokens: ArrayLike = (),
        last_seen: ArrayLike | None = None,
        rope_positions: ArrayLike | None = None,
        wanted: Collection[str] = OUTPUTS,
    ) -> ForwardResult:
        """As `TextSession.forward`: the second part goes on with what the first has computed."""
        batch = (token_ids, positions, token_seq, block_table)
        begun = self.first.forward(
            *batch, (), num_prompt_tokens, embeddings, embedded_tokens, last_seen, rope_positions, wanted=()
        )
        return self.second.forward(
            *batch,
            logit_rows,
            num_prompt_tokens,
            last_seen=last_seen,
            rope_positions=rope_positions,
            wanted=wanted,
            layer_input=begun.layer_output,
        )

    def embed(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """As `TextSession.embed`."""
        return (self.first if self.first.info.embedder else self.second).embed(inputs)

    def apply_mask(self, logits: NDArray[np.float32], mask: NDArray[np.int32], out: NDArray[np.float32]) -> None:
        """As `TextSession.apply_mask`."""
        self.second.apply_mask(logits, mask, out)

    def clear_states(self) -> None:
        """As `Session.clear_states`."""
        self.first.clear_states()
        self.second.clear_states()

    def close(self) -> None:
        """Closes both parts."""
        self.first.close()
        self.second.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def joined(first: Model, second: Model) -> TextInfo:
    """What a language model in two parts is: what both take is no more than the least of what either does."""
    a, b = TextInfo.of(first.info), TextInfo.of(second.info)
    return replace(
        b,
        max_tokens=min(a.max_tokens, b.max_tokens),
        max_seqs=min(a.max_seqs, b.max_seqs),
        kv_bytes_per_page=a.kv_bytes_per_page + b.kv_bytes_per_page,
        embedder=a.embedder or b.embedder,
    )
