"""The batch of texts that an encoder's `encode` takes: token after token, text after text, without padding."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hearth.model.encoder.config import EncoderConfig
from hearth.model.network import Input

TILE_TOKENS = 16
"""Most tokens of one sequence that attention handles together."""

Int32s = NDArray[np.int32]


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one call: tokens in all, and texts.

    A text has at most `max_tokens`, so these are at least the model's longest text.
    """

    max_tokens: int
    max_sequences: int = 256

    @property
    def max_tiles(self) -> int:
        """Each text has at most one tile that is not full."""
        return self.max_tokens // TILE_TOKENS + min(self.max_sequences, self.max_tokens)


@dataclass(frozen=True)
class Text:
    """One text as a model reads it.

    Attributes:
        ids: its tokens, with all that stands around it.
        types: which of two texts each belongs to; None: all to the first.
        skip: tokens at the beginning that do not count for pooling.
    """

    ids: Sequence[int]
    types: Sequence[int] | None = None
    skip: int = 0


def input_shapes(config: EncoderConfig) -> dict[str, tuple[str | tuple[str, int] | int, ...]]:
    """The inputs of `encode`, all i32, with their shapes: a symbol, a symbol plus a number, or a number.

    token_ids and positions: of every token, positions from 0 on in each sequence; token_types; starts: where each
    sequence begins and, last, where all end; tiles: sequence and first token of each run of at most `TILE_TOKENS`
    tokens; skips: tokens at a sequence's beginning that do not count for pooling.
    """
    shapes: dict[str, tuple[str | tuple[str, int] | int, ...]] = {"token_ids": ("tokens",)}
    if config.learned_positions or config.ropes:
        shapes["positions"] = ("tokens",)
    if config.token_types > 1:
        shapes["token_types"] = ("tokens",)
    shapes |= {"starts": ("borders",), "tiles": ("tiles", 2)}
    if config.head is not None and config.head.skips:
        shapes["skips"] = (("borders", -1),)
    return shapes


def inputs(config: EncoderConfig) -> tuple[Input, ...]:
    """The inputs as the plan declares them."""
    declared = {
        "token_ids": Input("token_ids", "int32", 0, config.vocab_size - 1),
        "positions": Input("positions", "int32", 0, config.max_position - 1),
        "token_types": Input("token_types", "int32", 0, config.token_types - 1),
        "starts": Input("starts", "int32", 0, ("tokens", 0), ascending=True),
        "tiles": Input("tiles", "int32", 0, ("tokens", -1)),
        "skips": Input("skips", "int32", 0, ("tokens", 0)),
    }
    return tuple(declared[name] for name in input_shapes(config))


def symbols(limits: Limits) -> dict[str, tuple[int, int]]:
    """Bounds of the symbols."""
    return {
        "tokens": (1, limits.max_tokens),
        "borders": (2, limits.max_sequences + 1),  # of sequences: where each begins, and where the last ends
        "tiles": (1, limits.max_tiles),
        "tile_tokens": (TILE_TOKENS, TILE_TOKENS),
    }


def pack(texts: Sequence[Text], names: Collection[str], tile_tokens: int = TILE_TOKENS) -> dict[str, Int32s]:
    """The arrays of one call. Every text has at least one token.

    Args:
        names: of the inputs that the model has.
        tile_tokens: most tokens of a tile, as the plan says.
    """
    counts = np.array([len(text.ids) for text in texts], np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    tiles = [
        (index, first)
        for index, (begin, end) in enumerate(pairwise(starts.tolist()))
        for first in range(begin, end, tile_tokens)
    ]
    values = {
        "token_ids": np.concatenate([np.asarray(text.ids, np.int32) for text in texts]),
        "positions": np.arange(starts[-1]) - np.repeat(starts[:-1], counts),
        "token_types": np.concatenate(
            [np.zeros(len(text.ids)) if text.types is None else np.asarray(text.types) for text in texts]
        ),
        "starts": starts,
        "tiles": np.array(tiles),
        "skips": np.array([text.skip for text in texts]),
    }
    return {name: np.ascontiguousarray(values[name], np.int32) for name in names}
