"""A decoder as a network: its function `forward`, and `draft` where it has a block that predicts further tokens; its
states (pages of keys and values), its parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from hearth.model.network import TEXT_DOOR, Function, Network, Role, State
from hearth.model.text.adapters import ADAPTERS, adapted, adapter_state, unit_bytes
from hearth.model.text.batch import NO_EXTRAS, PROMPT_TOKENS, SLOTS, Extras, Limits, inputs, symbols
from hearth.model.text.config import DecoderConfig
from hearth.model.text.kv_cache import KvDtype, kv_page_bytes, slot_bytes
from hearth.model.text.load import LoadedModel
from hearth.model.text.parameters import ALIBI, parameter_role, parameter_shapes, rope_parameter
from hearth.model.weights import Source, constant, plus


def text_network(
    model: LoadedModel,
    kv_dtype: KvDtype,
    limits: Limits | None = None,
    extras: Extras = NO_EXTRAS,
    *,
    coarse_prompts: bool = False,
) -> Network:
    """The network of a decoder.

    Args:
        kv_dtype: number format of the KV pages.
        limits: of one forward; None: as by default, with positions up to the model's own.
        extras: what it takes beside tokens.
        coarse_prompts: tokens of prompts may be computed more coarsely.
    """
    config = model.config
    extras = replace(extras, state=config.has_state)
    limits = limits or Limits(max_position=config.max_position)
    shapes = parameter_shapes(config)
    roles: dict[str, Role] = {name: parameter_role(name) for name in shapes}
    sources: dict[str, Source] = {
        # Gemma publishes its norms without the 1 that is added to them when they are used.
        name: plus(source, config.norm_offset) if name.endswith("norm") else source
        for name, source in model.sources.items()
    }
    for index, rope in enumerate(config.ropes):
        shapes[rope_parameter(index)] = (len(rope.inv_freq),)
        sources[rope_parameter(index)] = constant(rope.inv_freq)
    if config.alibi:
        shapes[ALIBI] = (len(config.alibi),)
        sources[ALIBI] = constant(config.alibi)
    outputs = ("logits", "argmax", "hidden")
    layers = "layers." if config.divides else ""
    functions = [Function("forward", inputs(config.vocab_size, limits, extras), outputs, TEXT_DOOR, layers=layers)]
    if config.predictor is not None:
        functions.append(Function("draft", inputs(config.vocab_size, limits, _predictors(extras)), outputs, TEXT_DOOR))
    return Network(
        functions=tuple(functions),
        symbols=symbols(limits, extras, prompts=coarse_prompts),
        shapes=shapes,
        sources=sources,
        roles=roles,
        states=(
            *(State(name, "pages", size) for name, size in kv_page_bytes(config, kv_dtype).items()),
            *(State(name, SLOTS, size) for name, size in slot_bytes(config).items()),
            *(
                State(adapter_state(name), ADAPTERS, unit_bytes(shape, extras.adapters.dtype))
                for name, shape in adapted(config, extras.adapters).items()
                if extras.adapters
            ),
        ),
        build=partial(_build, config, kv_dtype, extras),
        coarse={"tokens": PROMPT_TOKENS} if coarse_prompts else {},
    )


def _predictors(extras: Extras) -> Extras:
    """What the block that predicts further tokens takes."""
    return replace(extras, embeddings=False, state=False, adapters=None, hidden=True)


def _build(config: DecoderConfig, kv_dtype: KvDtype, extras: Extras) -> Any:
    import tvm

    from hearth.model.text.decoder import build  # needs TVM

    whole = build(config, kv_dtype, extras)
    if config.predictor is None:
        return whole
    from hearth.model.text.predictor import PredictorBuilder

    block = PredictorBuilder(config, kv_dtype, _predictors(extras)).build()
    return tvm.IRModule({var.name_hint: f for module in (whole, block) for var, f in module.functions.items()})
