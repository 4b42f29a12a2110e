"""What a family file is made of: the Llama reading of a configuration, and the `Family` record of differences.

Fields of a `DecoderConfig` that a family does not give are read as Llama's are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hearth.model.settings import MAX_POSITIONS, Settings, shown
from hearth.model.tensors import Rules
from hearth.model.text.config import Activation, DecoderConfig, LayerConfig, RopeConfig
from hearth.model.text.mixers import Mixer
from hearth.model.text.names import LLAMA_GGUF, LLAMA_HF
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope, rope_of_kind
from hearth.model.weights import Source

MAX_LAYERS, MAX_HEADS, MAX_HEAD_DIM, MAX_TAPS = 1000, 4096, 1024, 64

ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "relu2": "relu2",
}

# Keys that change what a model computes, with the values that mean "off". A family that computes one says so in
# `Family.honours`; anywhere else a value that is not off is refused.
CHANGES_THE_RESULT: Mapping[str, tuple[Any, ...]] = {
    "num_experts": (0, 1),
    "num_local_experts": (0, 1),
    "n_routed_experts": (0, 1),
    "num_nextn_predict_layers": (0,),
    "moe_layer_interval": (1,),
    "enable_moe_block": (False,),
    "head_dim_swa": (),
    "value_dim_swa": (),
    "rotary_dim_swa": (),
    "num_kv_shared_layers": (0,),
    "hidden_size_per_layer_input": (0,),
    "attention_k_eq_v": (False,),
    "num_attention_heads_by_layer": (),
    "altup_num_inputs": (1,),
    "altup_active_idx": (0,),
    "activation_sparsity_scale": (),
    "num_key_value_heads_by_layer": (),
    "intermediate_size_by_layer": (),
    "clip_qkv": (),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
    "query_pre_attn_scalar": (),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "attention_multiplier": (),
    "logits_scaling": (1,),
    "logit_scale": (1,),
    "attention_sinks": (False,),
    "attention_chunk_size": (),
    "use_bidirectional_attention": (False,),
    "is_causal": (True,),
    "alibi": (False,),
    "use_mrope": (False,),
    "rope_interleaved": (False,),
    "use_qk_norm": (False,),
    "qk_layernorm": (False,),
    "no_rope_layers": (),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "clamp_kqv": (),
    "attention_temperature": (),
    "attention_temperature_length": (),
    "max_alibi_bias": (),
    "use_parallel_residual": (),
    "ssm_dt_b_c_rms": (False,),
}


# What Llama assumes for an absent key; a family gives only what it assumes differently. A GGUF file always has the
# other two.
LLAMA_DEFAULTS: Mapping[str, Any] = {"max_position_embeddings": 2048, "rms_norm_eps": 1e-6}
LLAMA_DEFAULTS_IN_BOTH: Mapping[str, Any] = {"rope_theta": 10000.0, "hidden_act": "silu"}


@dataclass(frozen=True)
class Predictor:
    """The block that predicts further tokens (`config.PredictorConfig`), where files carry it.

    Its layer computes what the last layer does that attends.

    Attributes:
        chains: see there.
        hf_names: beginnings of names of safetensors, and what stands in their place behind `model.layers.N.`, N being
            the number of layers.
    """

    chains: Literal["normed", "residual"]
    hf_names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Family:
    """One family of models, as its difference from Llama.

    Attributes:
        name: of its file.
        model_types: `model_type`s of config.json that it answers to.
        architectures: `general.architecture`s of GGUF files that it answers to.
        configure: its reading of a configuration.
        defaults: what transformers assumes for a key that config.json does not have, where that is not what Llama does.
        gguf_defaults: what llama.cpp assumes, in the same key names.
        keys: names of config.json that this family has for what others call otherwise, and the usual names.
        honours: the keys of `CHANGES_THE_RESULT` that `configure` reads.
        gguf_honours: those that it reads from GGUF files beside these.
        hf_tensors, gguf_tensors: where each parameter is.
        hf_prefixes: beginnings of tensor names and what they stand for.
        ignored: tensors that are no part of the text model, as `fnmatch` patterns.
        factors: what parameters of layers are multiplied by when they are read, by their names (one number, or one for
            each row); GGUF files have it in their weights.
        text_config: the configuration may be an inner object of this name (models that also see).
        from_metadata: parameters that GGUF files have in their metadata, by their names.
        predictor: what predicts further tokens; None: such blocks are left out.
        interleaved: kinds of files ("safetensors", "gguf") in which the halves of what rotates of each q and k head are
            interleaved.
    """

    name: str
    model_types: tuple[str, ...]
    architectures: tuple[str, ...]
    configure: Callable[[Settings], DecoderConfig]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    gguf_defaults: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    honours: frozenset[str] = frozenset()
    gguf_honours: frozenset[str] = frozenset()
    hf_tensors: Rules = field(default_factory=lambda: LLAMA_HF)
    gguf_tensors: Rules = field(default_factory=lambda: LLAMA_GGUF)
    hf_prefixes: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    factors: Callable[[Settings], Mapping[str, NDArray[np.float32]]] | None = None
    text_config: str | None = None
    from_metadata: Callable[[Settings], Mapping[str, Source]] = lambda settings: {}
    interleaved: frozenset[str] = frozenset()
    predictor: Predictor | None = None

    def assumed(self, kind: str) -> dict[str, Any]:
        """All defaults for a file format."""
        if kind == "gguf":
            return {**LLAMA_DEFAULTS_IN_BOTH, **self.gguf_defaults}
        return {**LLAMA_DEFAULTS_IN_BOTH, **LLAMA_DEFAULTS, **self.defaults}

    def read(self, settings: Settings) -> DecoderConfig:
        """What a configuration of this family says. Raises Unsupported for what Hearth does not compute."""
        self._refuse_unknown(settings)
        return self.configure(settings)

    def _refuse_unknown(self, settings: Settings) -> None:
        """Raises Unsupported for a setting that changes the result and that this family does not compute."""
        honoured = self.honours | (self.gguf_honours if settings.kind == "gguf" else frozenset())
        for key, off in CHANGES_THE_RESULT.items():
            value = settings.get(key)
            if key not in honoured and value is not None and value not in off:
                raise settings.unsupported(key, f"Hearth does not compute it for the family {self.name!r}.")


def llama_config(settings: Settings, family: str, **differences: Any) -> DecoderConfig:
    """The configuration as Llama's reading gives it, with the fields in `differences` instead of Llama's."""
    num_heads = settings.count("num_attention_heads", most=MAX_HEADS)
    num_kv_heads = differences.get("num_kv_heads")
    if num_kv_heads is None:
        num_kv_heads = settings.optional_count("num_key_value_heads", most=MAX_HEADS) or num_heads
    if num_heads % num_kv_heads:
        raise settings.corrupt("num_key_value_heads", f"a divisor of the {num_heads} attention heads")
    size = differences.get("head_dim") or head_dim(settings)
    eps = "layer_norm_eps" if differences.get("norm") == "layer" else "rms_norm_eps"
    fields: dict[str, Any] = {"num_heads": num_heads, "head_dim": size, **differences, "num_kv_heads": num_kv_heads}
    readers: Mapping[str, Callable[[], Any]] = {
        "vocab_size": lambda: settings.count("vocab_size"),
        "hidden_size": lambda: settings.count("hidden_size"),
        "intermediate_size": lambda: settings.count("intermediate_size"),
        "norm_eps": lambda: settings.number(eps, high=1.0),
        "qkv_bias": lambda: settings.flag("attention_bias"),
        "output_bias": lambda: settings.flag("attention_bias"),
        "mlp_bias": lambda: settings.flag("mlp_bias"),
        "attention_scale": lambda: gguf_attention_scale(settings) or size**-0.5,
        "tied_embeddings": lambda: settings.flag("tie_word_embeddings"),
        "activation": lambda: activation(settings),
        "layers": lambda: full_layers(settings),
    }
    for name, read in readers.items():
        if name not in fields:
            fields[name] = read()
    if "ropes" not in fields:
        parameters = flat_rope_parameters(settings)
        fields["ropes"] = (make_rope(parameters, head_dim=size),)
        fields["max_position"] = longest_context(parameters)
    elif "max_position" not in fields:
        fields["max_position"] = settings.count("max_position_embeddings", most=MAX_POSITIONS)
    return DecoderConfig(family=family, **fields)


def gguf_attention_scale(settings: Settings) -> float | None:
    """The scale of attention scores, where a GGUF file gives one."""
    return settings.optional_number("attention_scale", high=1e6) if settings.kind == "gguf" else None


def num_layers(settings: Settings) -> int:
    return settings.count("num_hidden_layers", most=MAX_LAYERS)


def own_layers(settings: Settings) -> int:
    """Layers without those that predict further tokens, which GGUF files count."""
    further = settings.optional_count("num_nextn_predict_layers", most=MAX_LAYERS) if settings.kind == "gguf" else None
    if further and further >= num_layers(settings):
        raise settings.corrupt("num_nextn_predict_layers", "fewer layers than there are")
    return num_layers(settings) - (further or 0)


def head_dim(settings: Settings) -> int:
    given = settings.optional_count("head_dim", most=MAX_HEAD_DIM)
    if given is not None:
        return given
    hidden, heads = settings.count("hidden_size"), settings.count("num_attention_heads", most=MAX_HEADS)
    if hidden % heads:
        raise settings.corrupt("hidden_size", f"a multiple of the {heads} attention heads, or a head_dim")
    return hidden // heads


def activation(settings: Settings, key: str = "hidden_act") -> Activation:
    return settings.choice(key, ACTIVATIONS)


def inner_size(settings: Settings) -> int:
    """The width of an MLP, where an absent or empty key says four times the hidden size."""
    return settings.optional_count("intermediate_size") or 4 * settings.count("hidden_size")


def window(settings: Settings) -> int | None:
    """The sliding window, in tokens, of the layers that have one; 0 is how GGUF files say "none"."""
    return (
        None if settings.get("sliding_window") == 0 else settings.optional_count("sliding_window", most=MAX_POSITIONS)
    )


def window_kind(settings: Settings) -> str:
    """The kind of layers that all attend to the last `sliding_window` tokens, if there is one."""
    return "full_attention" if window(settings) is None else "sliding_attention"


def kinds_by_flags(slides: Sequence[Any]) -> list[str]:
    """The kinds of layers of which it is said whether they slide."""
    return ["sliding_attention" if flag else "full_attention" for flag in slides]


def full_every(settings: Settings, every: int) -> list[str]:
    """Kinds of layers of which all slide but each `every`-th."""
    return kinds_by_flags([(index + 1) % every for index in range(own_layers(settings))])


def kinds_of_pattern(settings: Settings) -> list[str]:
    """What `sliding_window_pattern` says: n, where each n-th layer does not slide, or (GGUF) a flag for each layer."""
    if isinstance(settings.get("sliding_window_pattern"), list | tuple):
        return kinds_by_flags(settings.sequence("sliding_window_pattern", length=own_layers(settings)) or [])
    return full_every(settings, settings.count("sliding_window_pattern"))


def full_layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Layers that all attend to everything."""
    kinds = set(layer_kinds(settings, default="full_attention"))
    if kinds != {"full_attention"}:
        raise settings.unsupported("layer_types", "All layers of this family attend alike.")
    return (LayerConfig(),) * num_layers(settings)


def layer_kinds(settings: Settings, *, default: str | list[str]) -> list[str]:
    """`full_attention` or `sliding_attention` for each layer: `layer_types`, or the family's default."""
    count = num_layers(settings)
    kinds = settings.sequence("layer_types", length=count)
    if kinds is None:
        return [default] * count if isinstance(default, str) else default
    for kind in kinds:
        if kind not in ("full_attention", "sliding_attention"):
            raise settings.unsupported("layer_types", f"Unknown kind of layer {shown(kind)}.")
    return kinds


def recurrent(mixer: Mixer) -> LayerConfig:
    """A layer that has this in place of attention."""
    return LayerConfig(None, attends=False, mixer=mixer)


_OLD_KINDS = {"mamba": "linear_attention", "attention": "full_attention"}
"""What transformers 4 called them."""


def hybrid_kinds(settings: Settings, other: str = "linear_attention", attending: str = "") -> list[Any] | None:
    """The kinds of layers of which only some attend: `layer_types`, in the words of transformers 5; by the list of
    those that attend; of a GGUF file by whether a layer has heads of keys. None: it is not said.

    Args:
        other: what a layer is that does not attend.
        attending: key of the list.
    """
    count = num_layers(settings)
    kinds = settings.sequence("layer_types", length=count)
    if kinds is not None:
        return kinds_by_new_names(kinds)
    if settings.kind == "gguf":
        heads = settings.sequence("num_key_value_heads_by_layer", length=count) or [1] * count
        return ["full_attention" if number else other for number in heads]
    those = settings.get(attending)
    if not isinstance(those, list | tuple | None):
        raise settings.corrupt(attending, "a list of layers")
    return None if those is None else ["full_attention" if index in those else other for index in range(count)]


def kinds_by_new_names(kinds: Sequence[Any]) -> list[Any]:
    """Kinds of layers as transformers 5 calls them."""
    return [_OLD_KINDS.get(kind, kind) if isinstance(kind, str) else kind for kind in kinds]


def layers_by_kind(
    settings: Settings, kinds: Sequence[Any], known: Mapping[str, LayerConfig]
) -> tuple[LayerConfig, ...]:
    """Layers of the given kinds. Raises Unsupported for one that is not known."""
    for kind in kinds:
        if not isinstance(kind, str) or kind not in known:
            raise settings.unsupported("layer_types", f"Unknown kind of layer {shown(kind)}.")
    return tuple(known[kind] for kind in kinds)


def windowed_layers(
    settings: Settings, kinds: list[str], *, full_rope: int | None = 0, sliding_rope: int | None = 0
) -> tuple[LayerConfig, ...]:
    """Layers of the given kinds, each kind with its rotation (None: it does not rotate)."""
    size = window(settings)
    if size is None and "sliding_attention" in kinds:
        raise settings.corrupt("sliding_window", "the window of the layers that slide")
    slides, full = LayerConfig(sliding_rope, size), LayerConfig(full_rope)
    return tuple(slides if kind == "sliding_attention" else full for kind in kinds)


def alibi(settings: Settings, most: float = 8.0) -> dict[str, Any]:
    """What a model has whose scores fall with the distance (ALiBi, arXiv:2108.12409) and whose heads do not rotate.

    Args:
        most: slopes of n heads, a power of two, are 2 ** (-most i / n); of another number those of the next power, the
            even ones first.
    """
    heads = settings.count("num_attention_heads", most=MAX_HEADS)
    power = 1 << (heads - 1).bit_length()
    slopes = [2.0 ** (-most * (i + 1) / power) for i in range(power)]
    if power != heads:
        slopes = slopes[1::2] + slopes[::2]
    layers = (LayerConfig(rope=None),) * num_layers(settings)
    return {"alibi": tuple(slopes[:heads]), "layers": layers, "ropes": ()}


def partial_rope(settings: Settings) -> RopeConfig:
    """The rotation of a part of each head (`partial_rotary_factor`), alike in all layers."""
    return make_rope(flat_rope_parameters(settings), head_dim=head_dim(settings), partial=True)


def ropes_by_kind(settings: Settings, sliding_theta_key: str = "rope_theta") -> tuple[RopeConfig, RopeConfig]:
    """The rotations of the layers that attend to everything (0) and of those that slide (1)."""
    size = head_dim(settings)
    return (
        rope_of_kind(settings, "full_attention", size, sliding_theta_key),
        rope_of_kind(settings, "sliding_attention", size, sliding_theta_key),
    )
