"""A language model as a network, whether it sees or not."""

from __future__ import annotations

from typing import Any

from hearth.model.network import Network
from hearth.model.text.adapters import AdapterRoom
from hearth.model.text.batch import Extras, Limits
from hearth.model.text.kv_cache import KvDtype
from hearth.model.text.load import LoadedModel
from hearth.model.text.network import text_network
from hearth.model.vision.part import Part
from hearth.model.vlm.model import LoadedSight


def language_network(
    model: LoadedModel,
    kv_dtype: KvDtype,
    limits: Limits | None = None,
    *,
    coarse_prompts: bool = False,
    adapters: AdapterRoom | None = None,
) -> Network:
    """The network of a language model, with room for `adapters`. Args: as `text_network`."""
    if model.sight is None:
        extras = Extras(adapters=adapters)
        return text_network(model, kv_dtype, limits, extras, coarse_prompts=coarse_prompts)
    sight = model.sight.sight
    streams = model.config.rope_streams
    extras = Extras(embeddings=True, ahead=sight.ahead, rope_streams=streams, adapters=adapters)
    language = text_network(model, kv_dtype, limits, extras, coarse_prompts=coarse_prompts)
    return _joined(language, sight_network(model.sight))


def sight_network(sight: LoadedSight) -> Network:
    """What sees, as a network of its own."""
    part = sight.sight.part
    parameters = part.declarations.parameters
    return Network(
        functions=(part.function,),
        symbols=part.symbols,
        shapes={name: declared.shape for name, declared in parameters.items()},
        sources=sight.sources,
        build=lambda: _write(part),
        roles={name: declared.role for name, declared in parameters.items() if declared.role != "exact"},
    )


def _joined(first: Network, second: Network) -> Network:
    """The functions of both; their names, and those of their parameters and symbols, differ."""
    return Network(
        functions=(*first.functions, *second.functions),
        symbols={**first.symbols, **second.symbols},
        shapes={**first.shapes, **second.shapes},
        sources={**first.sources, **second.sources},
        build=lambda: _module(first, second),
        roles={**first.roles, **second.roles},
        states=(*first.states, *second.states),
        coarse={**first.coarse, **second.coarse},
    )


def _write(part: Part) -> Any:
    from hearth.model.vision.graph import write_module  # needs TVM, which only compiling does

    return write_module([part])


def _module(first: Network, second: Network) -> Any:
    import tvm

    functions = {var.name_hint: f for n in (first, second) for var, f in n.build().functions.items()}
    return tvm.IRModule(functions)
