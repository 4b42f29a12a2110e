"""Where an encoder's parameters are in a checkpoint of BERT's layout: the tables that families differ from."""

from __future__ import annotations

from hearth.model.tensors import Rule, Rules


def with_bias(rules: Rules) -> Rules:
    """Adds the biases, which stand beside their weights, and what LayerNorm's two were called in the first BERTs."""
    found: dict[str, Rule] = {}
    for parameter, tensor in rules.items():
        assert isinstance(tensor, str)
        stem = tensor.removesuffix("weight")
        old = stem.endswith("LayerNorm.")
        found[parameter] = (tensor, stem + "gamma") if old else tensor
        found[f"{parameter}_bias"] = (stem + "bias", stem + "beta") if old else stem + "bias"
    return found


_LAYER = "encoder.layer.N."
BERT_HF: Rules = with_bias(
    {
        "embed": "embeddings.word_embeddings.weight",
        "position_embed": "embeddings.position_embeddings.weight",
        "token_type_embed": "embeddings.token_type_embeddings.weight",
        "embed_norm": "embeddings.LayerNorm.weight",
        "layers.N.q": _LAYER + "attention.self.query.weight",
        "layers.N.k": _LAYER + "attention.self.key.weight",
        "layers.N.v": _LAYER + "attention.self.value.weight",
        "layers.N.o": _LAYER + "attention.output.dense.weight",
        "layers.N.attn_post_norm": _LAYER + "attention.output.LayerNorm.weight",
        "layers.N.up": _LAYER + "intermediate.dense.weight",
        "layers.N.down": _LAYER + "output.dense.weight",
        "layers.N.mlp_post_norm": _LAYER + "output.LayerNorm.weight",
        "head.dense": "pooler.dense.weight",
        "head.classifier": "classifier.weight",
    }
)
BERT_GGUF: Rules = with_bias(
    {
        "embed": "token_embd.weight",
        "position_embed": "position_embd.weight",
        "token_type_embed": "token_types.weight",
        "embed_norm": "token_embd_norm.weight",
        **{f"layers.N.{x}": f"blk.N.attn_{x}.weight" for x in "qkv"},
        "layers.N.q_norm": "blk.N.attn_q_norm.weight",
        "layers.N.k_norm": "blk.N.attn_k_norm.weight",
        "layers.N.o": "blk.N.attn_output.weight",
        "layers.N.attn_norm": "blk.N.attn_norm.weight",
        "layers.N.attn_post_norm": "blk.N.attn_output_norm.weight",
        "layers.N.mlp_norm": "blk.N.ffn_norm.weight",
        "layers.N.gate": "blk.N.ffn_gate.weight",
        "layers.N.up": "blk.N.ffn_up.weight",
        "layers.N.down": "blk.N.ffn_down.weight",
        "layers.N.mlp_post_norm": "blk.N.layer_output_norm.weight",
        "norm": "output_norm.weight",
        "head.dense": "cls.weight",
        "head.norm": "cls.norm.weight",
        "head.classifier": "cls.output.weight",
        "head.dense_2": "dense_2.weight",
        "head.dense_3": "dense_3.weight",
    }
)
# What BERT was trained with and what no head here needs: the pooler where it is not in use, heads that fill gaps or
# tell whether one text follows another, buffers.
BERT_IGNORED = ("pooler.*", "cls.*", "embeddings.position_ids", "lm_head.*", "*.inv_freq", "*rotary_emb.*_cached")
