"""What the engine asks of a compiled model: one ragged forward over paged keys and values, and slots of state.

Owns the Protocols only. `hearth.runtime.TextSession` satisfies them, and so does the small numpy model of the tests;
the engine knows neither. Nothing here says how a model computes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Int32s = NDArray[np.int32]
Float32s = NDArray[np.float32]


OUTPUTS = ("logits", "argmax", "hidden")
"""What a forward computes; a device may take a while to bring it to where it can be read. One that offers it
(`ForwardInfo.likeliest`) also tells the `likeliest` tokens, when asked."""


class ForwardInfo(Protocol):
    """The upper bounds one forward has, all in tokens, rows or sequences."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def max_tokens(self) -> int:
        """Tokens in one forward."""
        ...

    @property
    def max_seqs(self) -> int:
        """Sequences in one forward."""
        ...

    @property
    def max_logit_rows(self) -> int:
        """Rows of logits in one forward."""
        ...

    @property
    def page_tokens(self) -> int:
        """Tokens in one page of keys and values."""
        ...

    @property
    def max_position(self) -> int:
        """Positions are below this."""
        ...

    @property
    def max_embeddings(self) -> int:
        """Tokens in one forward whose embeddings are given; 0: the model takes tokens only."""
        ...

    @property
    def looks_ahead(self) -> bool:
        """Whether the tokens of a picture see all of it, so that they have to be in one forward."""
        ...

    @property
    def rope_streams(self) -> int:
        """Positions that each token turns by; 0: by its own in the sequence."""
        ...

    @property
    def likeliest(self) -> int:
        """How many of the likeliest tokens of a row of logits a forward can tell by themselves; 0: it tells the row, or
        none."""
        ...

    @property
    def predicts(self) -> bool:
        """Whether the model has a block that predicts further tokens."""
        ...


class ForwardResult(Protocol):
    """Views into the session's own memory, valid until its next forward. What was not wanted may have no rows."""

    @property
    def logits(self) -> Float32s:
        """float32 (num_logit_rows, vocab_size)."""
        ...

    @property
    def argmax(self) -> Int32s:
        """int32 (num_logit_rows,): index of the largest logit of each row."""
        ...

    @property
    def hidden(self) -> Float32s:
        """float32 (num_tokens, hidden_size), after the final norm."""
        ...

    @property
    def likeliest(self) -> tuple[Float32s, Int32s]:
        """float32 (num_logit_rows, n), the largest logits of each row, largest first, and int32 (num_logit_rows, n),
        their tokens, of equals the lowest first; -1 where there is none."""
        ...


class Forward(Protocol):
    """A compiled model with its paged keys and values, and slots of state: what layers that do not attend, or not to
    everything, know of a sequence after one of its tokens."""

    @property
    def info(self) -> ForwardInfo: ...
    @property
    def num_pages(self) -> int: ...
    @property
    def num_slots(self) -> int:
        """Slots of state the session has; 0: the model has no state."""
        ...

    def forward(
        self,
        token_ids: Int32s,
        positions: Int32s,
        token_seq: Int32s,
        block_table: Int32s,
        logit_rows: Int32s,
        num_prompt_tokens: int,
        embeddings: Float32s | None = None,
        embedded_tokens: Int32s = ...,
        last_seen: Int32s | None = None,
        rope_positions: Int32s | None = None,
        wanted: Collection[str] = OUTPUTS,
        *,
        state_from: Int32s | None = None,
        state_to: Int32s | None = None,
        hidden: Float32s | None = None,
        adapters: Int32s | None = None,
    ) -> ForwardResult:
        """Computes a ragged batch: writes the keys and values of every token into its page, then attends.

        Tokens of one sequence are consecutive and their positions ascend by one. A token attends to the positions
        0 .. its own of its sequence, read through the block table; positions that are not in this batch were written by
        earlier forwards.

        Args:
            token_ids: int32 (num_tokens,).
            positions: int32 (num_tokens,); position p of a sequence lies in entry p // page_tokens of its table row.
            token_seq: int32 (num_tokens,), row of `block_table` for each token.
            block_table: int32 (num_seqs, stride), page indices, -1 beyond the pages of a sequence.
            logit_rows: int32 (num_logit_rows,), indices of the tokens whose logits are wanted; may be empty.
            num_prompt_tokens: so many of the first tokens are of prompts, which a model may compute more coarsely.
            embeddings: float32 (num_embeddings, hidden_size), in place of what the model's table has for some tokens.
            embedded_tokens: int32 (num_embeddings,), indices of these, ascending.
            last_seen: int32 (num_tokens,), the last position that each token sees, in this batch or earlier. None: its
                own. Only for a model that looks ahead.
            rope_positions: int32 (num_tokens, rope_streams), what each token turns by. None: its position. Only for a
                model that has such streams.
            wanted: what of the result will be read.
            state_from: int32 (num_seqs,), for each row of `block_table` the slot with the sequence's state before its
                first token in this batch; -1: the sequence begins, its state is zero. Given, as the next, if and only
                if there are slots.
            state_to: int32 (num_tokens,), the slot to which the state after each token is written; -1: to none. The
                kernel of a sequence reads its slot before it writes any, so that it may be the same. But no two
                sequences write one slot, and none writes one that another reads.
            hidden: float32 (num_tokens, hidden_size). Given, the block runs that predicts further tokens
                (`ForwardInfo.predicts`), over the same pages and without slots: each token stands at the position of
                the one before it, whose hidden state this is. Its results are said of the token after, and its
                `hidden` is what it takes for that token's place.
            adapters: int32 (num_seqs, 2), first unit and number of units of the adapter that the tokens of each
                sequence have; 0 units: none. None: none has one. Only for a model with room for adapters.
        """
        ...

    def embed(self, inputs: Mapping[str, NDArray[Any]]) -> Float32s:
        """The embeddings float32 (n, hidden_size), a copy, that the model makes of something that is no token: a
        picture. Not for a model that takes tokens only."""
        ...

    def apply_mask(self, logits: Float32s, mask: Int32s, out: Float32s) -> None:
        """Writes a row of logits to `out` with minus infinity in the place of every token that may not come.

        Args:
            logits: float32 (vocab_size,).
            mask: int32 (ceil(vocab_size / 32),); bit t % 32 of word t // 32 says whether token t may come.
            out: float32 (vocab_size,), overwritten; may be `logits` itself.
        """
        ...
