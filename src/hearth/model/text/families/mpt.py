"""MPT 7B, 30B."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, alibi, inner_size, llama_config
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, QKV, fused, modules

_USUAL = {"qk_ln": False, "prefix_lm": False, "alibi": True}


def configure(settings: Settings) -> DecoderConfig:
    attention, differences = settings, {"qkv_clip": settings.optional_number("clamp_kqv")}
    if settings.kind == "safetensors":
        attention = settings.nested({**_USUAL, **settings.table("attn_config")}, "attn_config")
        for key, usual in _USUAL.items():
            if attention.flag(key) != usual:
                raise attention.unsupported(key, f"Hearth computes MPT with {str(usual).lower()}.")
        if attention.get("kv_n_heads") not in (None, settings.count("num_attention_heads")):
            raise attention.unsupported("kv_n_heads", "Hearth's MPT has as many heads of keys as of queries.")
        if not settings.flag("no_bias"):
            raise settings.unsupported("no_bias", "Hearth's MPT has no biases.")
        differences = {"qkv_clip": attention.optional_number("clip_qkv")}
        scale = attention.optional_number("softmax_scale")
        differences |= {} if scale is None else {"attention_scale": scale}
    # LayerNorm without biases; an MLP without a gate; no rotation but ALiBi.
    most = attention.optional_number("max_alibi_bias" if settings.kind == "gguf" else "alibi_bias_max") or 8.0
    return llama_config(
        settings,
        "mpt",
        norm="layer",
        mlp="plain",
        intermediate_size=inner_size(settings),
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
        **alibi(settings, most),
        **differences,
    )


_LAYER = "model.blocks.N."
HF: Rules = {
    **LLAMA_HF,
    **modules(
        {
            "embed": "model.wte",
            "layers.N.attn_norm": _LAYER + "norm_1",
            "layers.N.o": _LAYER + "attn.out_proj",
            "layers.N.mlp_norm": _LAYER + "norm_2",
            "layers.N.up": _LAYER + "ffn.up_proj",
            "layers.N.down": _LAYER + "ffn.down_proj",
            "norm": "model.norm_f",
        }
    ),
    **fused(_LAYER + "attn.Wqkv", QKV),
}

FAMILY = Family(
    name="mpt",
    model_types=("mpt",),
    architectures=("mpt",),
    configure=configure,
    keys={
        "d_model": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "max_seq_len": "max_position_embeddings",
        "layer_norm_epsilon": "layer_norm_eps",
    },
    defaults={"hidden_act": "gelu", "layer_norm_eps": 1e-5, "tie_word_embeddings": True, "no_bias": True},
    gguf_defaults={"hidden_act": "gelu"},
    honours=frozenset({"clamp_kqv", "max_alibi_bias"}),
    hf_tensors=HF,
    gguf_tensors={**LLAMA_GGUF, **FUSED_QKV_GGUF},
    hf_prefixes=(("transformer.", "model."),),
)
