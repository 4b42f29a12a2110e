"""InternLM 2 and 2.5."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.names import HF_LAYER, LLAMA_HF, QKV, fused, modules


def configure(settings: Settings) -> DecoderConfig:
    # As Llama; each group of heads has its queries, its keys and its values together.
    return llama_config(settings, "internlm2", mlp_bias=False)


HF: Rules = {
    **LLAMA_HF,
    **fused(HF_LAYER + "attention.wqkv", QKV, groups="kv_heads"),
    **modules(
        {
            "embed": "model.tok_embeddings",
            "layers.N.attn_norm": HF_LAYER + "attention_norm",
            "layers.N.o": HF_LAYER + "attention.wo",
            "layers.N.mlp_norm": HF_LAYER + "ffn_norm",
            "layers.N.gate": HF_LAYER + "feed_forward.w1",
            "layers.N.up": HF_LAYER + "feed_forward.w3",
            "layers.N.down": HF_LAYER + "feed_forward.w2",
            "head": "output",
        }
    ),
}

FAMILY = Family(
    name="internlm2",
    model_types=("internlm2",),
    architectures=("internlm2",),
    configure=configure,
    keys={"bias": "attention_bias"},
    hf_tensors=HF,
    interleaved=frozenset({"gguf"}),
)
