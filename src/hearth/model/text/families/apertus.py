"""Apertus 8B, 70B."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hearth.model.settings import Settings
from hearth.model.tensors import Made, Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, num_layers
from hearth.model.text.names import HF_LAYER, LLAMA_HF
from hearth.model.weights import Source, constant

_NUMBERS = {"xielu_p": "alpha_p", "xielu_n": "alpha_n", "xielu_beta": "beta", "xielu_eps": "eps"}
"""Of the activation, and what both kinds of files call them."""


def configure(settings: Settings) -> DecoderConfig:
    # An MLP without a gate, whose activation has numbers of its own in each layer; each head of q and k is normalised.
    if settings.get("hidden_act") != "xielu":
        raise settings.unsupported("hidden_act", "Hearth computes Apertus with xielu.")
    return llama_config(
        settings, "apertus", mlp="plain", activation="xielu", qk_norm="head", mlp_bias=False,
    )  # fmt: skip


def _softplus(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.logaddexp(np.float32(0), values).astype(np.float32).reshape(-1)


def _from_metadata(settings: Settings) -> Mapping[str, Source]:
    """GGUF files have the numbers of all layers in their metadata."""
    count = num_layers(settings)
    sources: dict[str, Source] = {}
    for parameter, name in _NUMBERS.items():
        values = settings.numbers(f"xielu_{name}", length=count)
        for layer, value in enumerate(values):
            made = np.array([value], np.float32)
            sources[f"layers.{layer}.{parameter}"] = constant(_softplus(made) if "alpha" in name else made)
    return sources


HF: Rules = {
    **LLAMA_HF,
    "layers.N.attn_norm": HF_LAYER + "attention_layernorm.weight",
    "layers.N.mlp_norm": HF_LAYER + "feedforward_layernorm.weight",
    **{
        f"layers.N.{parameter}": Made(f"{HF_LAYER}mlp.act_fn.{name}", _softplus)
        if "alpha" in name
        else f"{HF_LAYER}mlp.act_fn.{name}"
        for parameter, name in _NUMBERS.items()
    },
}

FAMILY = Family(
    name="apertus",
    model_types=("apertus",),
    architectures=("apertus",),
    configure=configure,
    defaults={"hidden_act": "xielu", "rms_norm_eps": 1e-5, "rope_theta": 12000000.0, "max_position_embeddings": 65536},
    gguf_defaults={"hidden_act": "xielu"},
    hf_tensors=HF,
    from_metadata=_from_metadata,
)
