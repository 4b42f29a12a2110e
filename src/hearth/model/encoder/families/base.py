"""What a family file of encoders is made of: BERT's reading of a configuration, and the `Family` record of differences.

Fields of an `EncoderConfig` that a family does not give are read as BERT's are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hearth.errors import Unsupported
from hearth.model.encoder.config import Activation, EncoderConfig, EncoderLayer, Head, Linear
from hearth.model.encoder.names import BERT_GGUF, BERT_HF
from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Rules
from hearth.model.weights import ComputedWeight

MAX_LAYERS, MAX_HEADS, MAX_LABELS = 1000, 4096, 1 << 16

ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
# Keys that change what a model computes, with the values that mean "off". A family that computes one says so in
# `Family.honours`.
CHANGES_THE_RESULT: Mapping[str, tuple[Any, ...]] = {
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "causal": (False,),
    "position_embedding_type": ("absolute",),
    "embedding_size": (),
    "num_experts": (0,),
    "moe_every_n_layers": (0,),
    "logn_attention_scale": (False,),
    "layer_norm_type": ("layer_norm",),
    "prenorm": (False,),
    "use_rms_norm": (False,),
    "parallel_block": (False,),
    "rotary_emb_interleaved": (False,),
    "rotary_emb_scale_base": (),
    "rotary_scaling_factor": (),
    "feed_forward_type": ("original",),
    "attn_logit_softcapping": (),
}
BERT_DEFAULTS: Mapping[str, Any] = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
GGUF_DEFAULTS: Mapping[str, Any] = {"hidden_act": "gelu", "rope_theta": 10000.0}


def no_head(settings: Settings, hidden: int, labels: int) -> Head:
    """Of a family that is published without such a head."""
    raise Unsupported(f"{settings.where}: Hearth knows no such head of this family.")


def pooler_head(settings: Settings, hidden: int, labels: int) -> Head:
    """BERT's classifier of texts: the first token through the pooler, then one layer."""
    del settings
    return Head("logits", ("cls",), after=(Linear("dense", hidden, activation="tanh"), Linear("classifier", labels)))


def token_head(settings: Settings, hidden: int, labels: int) -> Head:
    """One layer on each token."""
    del settings, hidden
    return Head("logits", before=(Linear("classifier", labels),))


@dataclass(frozen=True)
class Family:
    """One family of encoders, as its difference from BERT.

    Attributes:
        name: of its file.
        model_types: `model_type`s of config.json that it answers to.
        architectures: `general.architecture`s of GGUF files that it answers to.
        configure: its reading of a configuration; the head is left out.
        matches: whether a config.json is of this family, for one that shares its `model_type`.
        defaults: what is assumed for a key that config.json does not have, where that is not what BERT does.
        gguf_defaults: the same for GGUF, in the same key names.
        aliases, gguf_aliases: other names for a key, of published configurations, and of GGUF metadata as restated.
        honours: the keys of `CHANGES_THE_RESULT` that `configure` reads.
        hf_tensors, gguf_tensors: where each parameter is.
        gguf_split: rules where the gate has a tensor of its own, for an architecture of which there are both kinds.
        hf_prefixes: beginnings of tensor names and what they stand for.
        ignored: tensors that are no part of the encoder, as `fnmatch` patterns.
        sequence_head, token_head: what classifiers of texts and of tokens are made of.
        position_offset: rows at the beginning of the file's position table that no token of a text uses.
        computed: parameters that are computed: the tensors they are made of, by the names in the rules, and how.
    """

    name: str
    model_types: tuple[str, ...]
    architectures: tuple[str, ...]
    configure: Callable[[Settings], EncoderConfig]
    matches: Callable[[Mapping[str, Any]], bool] = lambda config: True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    gguf_defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    gguf_aliases: Mapping[str, str] = field(default_factory=dict)
    honours: frozenset[str] = frozenset()
    hf_tensors: Rules = field(default_factory=lambda: BERT_HF)
    gguf_tensors: Rules = field(default_factory=lambda: BERT_GGUF)
    gguf_split: Rules = field(default_factory=dict)
    hf_prefixes: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    sequence_head: Callable[[Settings, int, int], Head] = no_head
    token_head: Callable[[Settings, int, int], Head] = no_head
    position_offset: Callable[[Settings], int] = lambda settings: 0
    computed: Callable[[EncoderConfig], dict[str, ComputedWeight]] = lambda config: {}

    def answers_to(self, architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
        if kind == "gguf":
            return architecture in self.architectures
        return architecture in self.model_types and self.matches(config)

    def assumed(self, kind: str) -> dict[str, Any]:
        """All defaults for a file format."""
        return {**GGUF_DEFAULTS, **self.gguf_defaults} if kind == "gguf" else {**BERT_DEFAULTS, **self.defaults}

    def refuse_unknown(self, settings: Settings) -> None:
        """Raises Unsupported for a setting that changes the result and that this family does not compute."""
        for key, off in CHANGES_THE_RESULT.items():
            value = settings.get(key)
            if key not in self.honours and value is not None and value not in off:
                raise settings.unsupported(key, f"Hearth does not compute it for the family {self.name!r}.")


def bert_config(settings: Settings, family: str, **differences: Any) -> EncoderConfig:
    """The configuration as BERT's reading gives it, with the fields in `differences` instead of BERT's."""
    heads = settings.count("num_attention_heads", most=MAX_HEADS)
    hidden = settings.count("hidden_size")
    if "head_dim" not in differences and hidden % heads:
        raise settings.corrupt("hidden_size", f"a multiple of the {heads} attention heads")
    size = differences.get("head_dim", hidden // heads)
    fields: dict[str, Any] = {
        "vocab_size": settings.count("vocab_size"),
        "hidden_size": hidden,
        "intermediate_size": settings.count("intermediate_size"),
        "num_heads": heads,
        "num_kv_heads": heads,
        "head_dim": size,
        "attention_scale": size**-0.5,
    }
    fields |= differences
    if "layers" not in fields:
        fields["layers"] = (EncoderLayer(),) * num_layers(settings)
    if "max_position" not in fields:
        fields["max_position"] = settings.count("max_position_embeddings", most=MAX_POSITIONS)
    if "token_types" not in fields:
        fields["token_types"] = token_types(settings)
    if "norm_eps" not in fields:
        fields["norm_eps"] = settings.number("layer_norm_eps", high=1.0)
    if "activation" not in fields:
        fields["activation"] = activation(settings)
    return EncoderConfig(family=family, **fields)


def num_layers(settings: Settings) -> int:
    return settings.count("num_hidden_layers", most=MAX_LAYERS)


def token_types(settings: Settings) -> int:
    """Rows of the table of token types; 0 is "none"."""
    return 0 if settings.get("type_vocab_size") == 0 else settings.count("type_vocab_size", most=1 << 16)


def activation(settings: Settings, key: str = "hidden_act") -> Activation:
    return settings.choice(key, ACTIVATIONS)
