"""The batch of tokens that a decoder's `forward` takes: inputs and symbols, as the runtime's door "text" makes them.

The names are a contract with `runtime/csrc/text.c`, which looks them up in the plan (docs/architecture.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.model.network import Input
from hearth.model.text.adapters import ADAPTER_ITEMS, ADAPTER_UNITS, ADAPTERS, MOST_UNITS, AdapterRoom
from hearth.model.text.kv_cache import PAGE_TOKENS

TILE_TOKENS = 16
"""Most tokens of one sequence that attention handles together."""
SPLIT_TOKENS = 256
"""Tokens of context whose part of attention is computed on its own: short enough to share a long context evenly, long
enough that folding the parts costs little."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one forward: tokens, sequences, rows of logits, partial results of attention (a token's in one
    split); and the longest position."""

    max_tokens: int = 512
    max_seqs: int = 64
    max_logit_rows: int = 64
    max_partials: int = 512
    max_position: int = 1 << 20


SHAPES: dict[str, tuple[str | int, ...]] = {
    "token_ids": ("tokens",),
    "positions": ("tokens",),
    "token_seq": ("tokens",),
    "items": ("items", 8),
    "block_table": ("sequences", "block_table_stride"),
    "logit_rows": ("logit_rows",),
    "merges": ("merges", 4),
}
"""Inputs of every `forward`, all i32."""

EMBEDDINGS, EMBEDDED_TOKENS = "embeddings", "embedded_tokens"
"""Inputs of a model that takes embeddings in place of tokens' own: f32 (embeddings, hidden), and i32 (embeddings,),
which token of the batch each is for."""
ROPE_POSITIONS = "rope_positions"
"""Input of a model whose tokens turn by several positions each: i32 (tokens, streams). Where keys and values lie is
told by `positions` all the same."""
RUNS, STATE_TO = "runs", "state_to"
"""Inputs of a model with recurrent state: i32 (runs, 4), for each sequence its first token in the batch, how many it
has and the slot with the state before them, -1 where it begins; and i32 (tokens,), the slot that the state after each
token is written to, or -1."""
HIDDEN_STATES = "hidden_states"
"""Input of a block that predicts further tokens: f32 (tokens, hidden), of the token before each."""
SLOTS = "slots"
"""The symbol that counts slots of recurrent state: of all layers of one sequence."""
LAST_SEEN = "last_seen"
"""Input of a model whose tokens may see later ones: i32 (tokens,), the last position that each sees."""


@dataclass(frozen=True)
class Extras:
    """What a decoder takes that decoders of text alone do not.

    Attributes:
        embeddings: it takes embeddings in place of tokens' own.
        ahead: some tokens see others that come after them: those of a picture see all of it.
        rope_streams: positions that a token turns by; with 1 it is the one in its sequence.
        state: it has recurrent state.
        adapters: it has room for adapters; None: it has none.
        hidden: it is a block that takes hidden states beside tokens.
    """

    embeddings: bool = False
    ahead: bool = False
    rope_streams: int = 1
    state: bool = False
    adapters: AdapterRoom | None = None
    hidden: bool = False


NO_EXTRAS = Extras()


def inputs(vocab_size: int, limits: Limits, extras: Extras = NO_EXTRAS) -> tuple[Input, ...]:
    """The inputs as the plan declares them."""
    most = {"token_ids": vocab_size - 1, "positions": limits.max_position - 1}
    made = [Input(name, "int32", low=0 if name in most else None, high=most.get(name)) for name in SHAPES]
    if extras.ahead:
        made.append(Input(LAST_SEEN, "int32"))
    if extras.rope_streams > 1:
        made.append(Input(ROPE_POSITIONS, "int32"))
    if extras.state:
        made += [Input(RUNS, "int32"), Input(STATE_TO, "int32")]
    if extras.adapters:
        made.append(Input(ADAPTER_ITEMS, "int32"))
    if extras.embeddings:
        made += [Input(EMBEDDINGS, "float32"), Input(EMBEDDED_TOKENS, "int32")]
    if extras.hidden:
        made.append(Input(HIDDEN_STATES, "float32"))
    return tuple(made)


PROMPT_TOKENS = "prompt_tokens"
"""The symbol that counts the tokens of prompts, which stand before all others, where these are computed differently."""
LONGEST_TILE = "longest_tile"
"""The symbol that tells how many tokens the longest tile of a batch has: 1 where every sequence goes on by one."""
HIDDEN_TOKENS = "hidden_tokens"
"""The symbol that counts the tokens whose hidden states are wanted: all of the batch or none, where these are computed
for that alone."""
LIKELIEST_ROWS, LIKELIEST_OUTPUT = "likeliest_rows", "likeliest"
"""The symbol that counts the rows of logits whose likeliest tokens are wanted, all or none; and the output."""
IN_PARTS = "in_parts"
"""The symbol that is 1 where a model was opened for some of its layers, and another device has the others."""


def symbols(limits: Limits, extras: Extras = NO_EXTRAS, *, prompts: bool = False) -> dict[str, tuple[int, int]]:
    """Bounds of the symbols, and the constants by which the runtime cuts a batch.

    Args:
        prompts: tokens of prompts are counted, too.
    """
    pages = (limits.max_position - 1) // PAGE_TOKENS + 1
    return {
        **({EMBEDDINGS: (0, limits.max_tokens)} if extras.embeddings else {}),
        **({RUNS: (1, limits.max_seqs), SLOTS: (1, 2**31 - 1)} if extras.state else {}),
        **(_adapter_symbols(limits) if extras.adapters else {}),
        "tokens": (1, limits.max_tokens),
        **({PROMPT_TOKENS: (0, limits.max_tokens)} if prompts else {}),
        "sequences": (1, limits.max_seqs),
        "logit_rows": (0, limits.max_logit_rows),
        # Each tile is an item and has at least one token; an item that is a part of a tile takes at least one partial.
        "items": (1, limits.max_tokens + limits.max_partials),
        "merges": (0, limits.max_partials),
        "block_table_stride": (1, pages),
        LONGEST_TILE: (1, TILE_TOKENS),
        "pages": (1, 2**31 - 1),
        "page_tokens": (PAGE_TOKENS, PAGE_TOKENS),
        "tile_tokens": (TILE_TOKENS, TILE_TOKENS),
        "split_tokens": (SPLIT_TOKENS, SPLIT_TOKENS),
    }


def _adapter_symbols(limits: Limits) -> dict[str, tuple[int, int]]:
    return {
        ADAPTERS: (1, 2**31 - 1),
        ADAPTER_ITEMS: (0, limits.max_tokens),  # each has at least one token
        ADAPTER_UNITS: (MOST_UNITS, MOST_UNITS),
    }
