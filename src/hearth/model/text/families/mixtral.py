"""Mixtral 8x7B, 8x22B. Their GGUF files say `llama`."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, num_layers, window_kind, windowed_layers
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_HF, experts_config, with_experts
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # No biases and no kinds of layers, whatever the file says.
    kinds = [window_kind(settings)] * num_layers(settings)
    return llama_config(
        settings,
        "mixtral",
        layers=with_experts(windowed_layers(settings, kinds)),
        experts=experts_config(settings, normalise=True),
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
    )


_MODULE = HF_LAYER + "block_sparse_moe."
HF: Rules = {
    **EXPERTS_HF,
    "layers.N.router": _MODULE + "gate.weight",
    **{
        f"layers.N.{part}_exps": f"{_MODULE}experts.E.{name}.weight"
        for part, name in (("gate", "w1"), ("up", "w3"), ("down", "w2"))
    },
}

FAMILY = Family(
    name="mixtral",
    model_types=("mixtral",),
    architectures=(),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "max_position_embeddings": 131072,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors=HF,
)
