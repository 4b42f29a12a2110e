"""Falcon 1 and 2: 7B, 11B, 40B, 180B. (Falcon 3 is a Llama.)"""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import Branches, DecoderConfig
from hearth.model.text.families.base import MAX_HEADS, Family, inner_size, llama_config
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, QKV, fused, modules


def configure(settings: Settings) -> DecoderConfig:
    # LayerNorm, an MLP without a gate; attention and MLP read the block's input, through one norm or one each.
    bias = settings.flag("bias")
    return llama_config(
        settings,
        "falcon",
        num_kv_heads=_kv_heads(settings),
        intermediate_size=inner_size(settings),
        norm="layer",
        norm_bias=True,
        branches=_branches(settings),
        mlp="plain",
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bias,
    )


def _kv_heads(settings: Settings) -> int | None:
    if settings.kind == "gguf" or settings.flag("new_decoder_architecture"):
        return None
    return 1 if settings.flag("multi_query") else settings.count("num_attention_heads", most=MAX_HEADS)


def _branches(settings: Settings) -> Branches:
    if settings.kind == "gguf":
        return "parallel" if settings.flag("attn_norm_2") else "parallel_shared"
    if not settings.flag("new_decoder_architecture"):
        return "parallel_shared" if settings.flag("parallel_attn") else "serial"
    return "parallel_shared" if settings.get("num_ln_in_parallel_attn") == 1 else "parallel"


_LAYER = "model.h.N."
_HF = {
    "embed": "model.word_embeddings",
    "layers.N.o": _LAYER + "self_attention.dense",
    "layers.N.up": _LAYER + "mlp.dense_h_to_4h",
    "layers.N.down": _LAYER + "mlp.dense_4h_to_h",
    "norm": "model.ln_f",
}
_NORMS = {
    "layers.N.attn_norm": ("ln_attn", "input_layernorm"),
    "layers.N.mlp_norm": ("ln_mlp", "post_attention_layernorm"),
}
HF: Rules = {
    **LLAMA_HF,
    **modules(_HF),
    **fused(_LAYER + "self_attention.query_key_value", QKV, groups="kv_heads"),
    **{
        f"{name}{own}": tuple(f"{_LAYER}{module}.{kind}" for module in found)
        for name, found in _NORMS.items()
        for own, kind in (("", "weight"), ("_bias", "bias"))
    },
}
GGUF: Rules = {
    **LLAMA_GGUF,
    **FUSED_QKV_GGUF,
    # Where there are two norms, the first is the MLP's.
    **{
        f"layers.N.{name}_norm{own}": tuple(f"blk.N.{place}.{kind}" for place in places)
        for name, places in (("attn", ("attn_norm_2", "attn_norm")), ("mlp", ("attn_norm",)))
        for own, kind in (("", "weight"), ("_bias", "bias"))
    },
}

FAMILY = Family(
    name="falcon",
    model_types=("falcon", "RefinedWeb", "RefinedWebModel"),
    architectures=("falcon",),
    configure=configure,
    keys={
        "n_embed": "hidden_size",
        "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads",
        "n_head_kv": "num_key_value_heads",
        "num_kv_heads": "num_key_value_heads",
        "ffn_hidden_size": "intermediate_size",
        "layer_norm_epsilon": "layer_norm_eps",
        "activation": "hidden_act",
    },
    defaults={
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "multi_query": True,
        "parallel_attn": True,
        "tie_word_embeddings": True,
    },
    gguf_defaults={"hidden_act": "gelu"},
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=(("transformer.", "model."),),
)
