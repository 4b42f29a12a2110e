"""DBRX."""

from hearth.model.settings import Settings
from hearth.model.tensors import OfHeads, Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_layers, head_dim, llama_config
from hearth.model.text.families.mixture import EXPERTS, EXPERTS_GGUF, experts_config, with_experts
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_HF, QKV, fused, modules
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope


def configure(settings: Settings) -> DecoderConfig:
    own = settings.kind == "gguf"
    attention = settings if own else settings.nested({"kv_n_heads": 1, **settings.table("attn_config")}, "attn_config")
    mixture = settings if own else _mixture(settings)
    parameters = flat_rope_parameters(settings)
    if not own and not settings.values.keys() & {"rope_theta", "rope_parameters"}:  # as its authors wrote it
        parameters = attention.nested({**parameters.values, "rope_theta": attention.get("rope_theta")}, "rope_theta")
    # LayerNorm without biases; q, k and v are cut to a range; experts, weighed among the chosen alone.
    return llama_config(
        settings,
        "dbrx",
        norm="layer",
        num_kv_heads=None if own else attention.count("kv_n_heads"),
        qkv_clip=attention.optional_number("clamp_kqv" if own else "clip_qkv"),
        layers=with_experts(full_layers(settings)),
        experts=experts_config(mixture),
        intermediate_size=mixture.count("intermediate_size"),
        ropes=(make_rope(parameters, head_dim=head_dim(settings)),),
        max_position=longest_context(parameters),
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
    )


_MIXTURE = {
    "intermediate_size": "ffn_hidden_size",
    "num_experts": "moe_num_experts",
    "num_experts_per_tok": "moe_top_k",
}


def _mixture(settings: Settings) -> Settings:
    """What the inner object says of experts, by the usual names."""
    usual = {"ffn_hidden_size": 3584, "moe_num_experts": 4, "moe_top_k": 1, "moe_normalize_expert_weights": 1}
    inner = settings.nested({**usual, **settings.table("ffn_config")}, "ffn_config")
    if inner.get("ffn_act_fn") not in (None, {"name": "silu"}):
        raise inner.unsupported("ffn_act_fn", "Hearth computes DBRX with silu.")
    power = inner.get("moe_normalize_expert_weights")
    if power not in (None, 1):
        raise inner.unsupported("moe_normalize_expert_weights", "Weights of experts are divided by their sum.")
    values = {name: inner.get(key) for name, key in _MIXTURE.items()} | {"norm_topk_prob": power is not None}
    return Settings(values, where=inner.where, kind=inner.kind, spelled=_MIXTURE)


_LAYER = "model.blocks.N."
_EXPERTS = _LAYER + "ffn.experts.mlp."
HF: Rules = {
    **LLAMA_HF,
    **modules(
        {
            "embed": "model.wte",
            "layers.N.attn_norm": _LAYER + "norm_attn_norm.norm_1",
            "layers.N.o": _LAYER + "norm_attn_norm.attn.out_proj",
            "layers.N.mlp_norm": _LAYER + "norm_attn_norm.norm_2",
            "layers.N.router": _LAYER + "ffn.router.layer",
            "norm": "model.norm_f",
        }
    ),
    **fused(_LAYER + "norm_attn_norm.attn.Wqkv", QKV),
    # All experts in one tensor, one after another, the way down turned.
    "layers.N.gate_exps": OfHeads(_EXPERTS + "w1", ("gate_exps",)),
    "layers.N.up_exps": OfHeads(_EXPERTS + "v1", ("up_exps",)),
    "layers.N.down_exps": OfHeads(_EXPERTS + "w2", ("down_exps",), frozenset({"down_exps"})),
}

FAMILY = Family(
    name="dbrx",
    model_types=("dbrx",),
    architectures=("dbrx",),
    configure=configure,
    keys={
        "d_model": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "max_seq_len": "max_position_embeddings",
    },
    defaults={"layer_norm_eps": 1e-5},
    gguf_defaults={"norm_topk_prob": True},
    honours=EXPERTS | {"clamp_kqv"},
    hf_tensors=HF,
    gguf_tensors={**EXPERTS_GGUF, **FUSED_QKV_GGUF, "layers.N.mlp_norm": "blk.N.attn_output_norm.weight"},
    hf_prefixes=(("transformer.", "model."),),
)
