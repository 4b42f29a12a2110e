"""EmbeddingGemma: Gemma 3 that sees both ways, within windows that reach both ways."""

from hearth.model.encoder.config import EncoderConfig, EncoderLayer
from hearth.model.encoder.families.base import Family, bert_config
from hearth.model.encoder.names import BERT_GGUF
from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Rules
from hearth.model.text.families import gemma3
from hearth.model.text.families.gemma_common import GEMMA_HF


def configure(settings: Settings) -> EncoderConfig:
    decoder = gemma3.configure(settings)
    if decoder.logit_softcap is not None:
        raise settings.unsupported("final_logit_softcapping", "There are no logits.")
    return bert_config(
        settings,
        "embedding_gemma",
        num_kv_heads=decoder.num_kv_heads,
        head_dim=decoder.head_dim,
        layers=tuple(EncoderLayer(layer.rope, _reach(layer.sliding_window)) for layer in decoder.layers),
        max_position=settings.count("max_position_embeddings", most=MAX_POSITIONS),
        ropes=decoder.ropes,
        token_types=0,
        embedding_norm=False,
        embedding_scale=decoder.embedding_scale,
        norm="rms",
        norm_eps=decoder.norm_eps,
        norm_offset=decoder.norm_offset,
        norm_placement="pre_post",
        final_norm=True,
        activation="gelu_tanh" if decoder.activation == "gelu_tanh" else "gelu",
        gated=True,
        qk_norm="head",
        qkv_bias=decoder.qkv_bias,
        output_bias=decoder.output_bias,
        up_bias=False,
        down_bias=False,
        attention_scale=decoder.attention_scale,
    )


def _reach(window: int | None) -> int:
    """How far a token sees to each side: half of the published width."""
    return 0 if window is None else window // 2


# The base model has no `model.` before its names.
HF: Rules = {name: str(rule).removeprefix("model.") for name, rule in GEMMA_HF.items()}
GGUF: Rules = {
    **BERT_GGUF,
    "layers.N.attn_post_norm": "blk.N.post_attention_norm.weight",
    "layers.N.mlp_post_norm": "blk.N.post_ffw_norm.weight",
}
FAMILY = Family(
    name="embedding_gemma",
    model_types=("gemma3_text",),
    architectures=("gemma-embedding",),
    configure=configure,
    matches=lambda config: config.get("use_bidirectional_attention") is True,
    defaults={**gemma3.FAMILY.assumed("safetensors"), "layer_norm_eps": 1e-6},
    gguf_defaults=gemma3.FAMILY.assumed("gguf"),
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=(("model.", ""),),
)
