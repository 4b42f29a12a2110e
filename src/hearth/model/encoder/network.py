"""An encoder as a network: its one function `encode`, its parameters."""

from __future__ import annotations

from functools import partial
from typing import Any

from hearth.model.encoder.batch import Limits, inputs, symbols
from hearth.model.encoder.config import EncoderConfig
from hearth.model.encoder.load import LoadedEncoder
from hearth.model.encoder.parameters import parameter_role, parameter_shapes
from hearth.model.network import Function, Network

BATCH_TOKENS = 4096
"""Tokens of one call, where the model takes no longer text."""


def encoder_network(model: LoadedEncoder, limits: Limits | None = None) -> Network:
    """The network of an encoder.

    Args:
        limits: of one call; None: as by default, with room for the longest text.
    """
    config = model.config
    shapes = parameter_shapes(config)
    outputs = ("hidden",) if config.head is None else ("hidden", config.head.output)
    return Network(
        functions=(Function("encode", inputs(config), outputs),),
        symbols=symbols(limits or Limits(max(BATCH_TOKENS, config.max_position))),
        shapes=shapes,
        sources=model.sources,
        roles={name: parameter_role(name) for name in shapes},
        build=partial(_build, config),
    )


def _build(config: EncoderConfig) -> Any:
    from hearth.model.encoder.encoder import build  # needs TVM

    return build(config)
