"""BitNet b1.58."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.names import HF_LAYER, LLAMA_GGUF, LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    # What attention and the MLP compute is normalised before it is multiplied by weights of three values.
    return llama_config(settings, "bitnet", sub_norms=True, mlp_bias=False)


FAMILY = Family(
    name="bitnet",
    model_types=("bitnet",),
    architectures=("bitnet",),
    configure=configure,
    # llama.cpp knows the models of 2024, whose activation is SiLU.
    defaults={"hidden_act": "relu2", "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "num_key_value_heads": 5},
    hf_tensors={
        **LLAMA_HF,
        "layers.N.attn_sub_norm": HF_LAYER + "self_attn.attn_sub_norm.weight",
        "layers.N.mlp_sub_norm": HF_LAYER + "mlp.ffn_sub_norm.weight",
    },
    gguf_tensors={
        **LLAMA_GGUF,
        "layers.N.attn_sub_norm": "blk.N.attn_sub_norm.weight",
        "layers.N.mlp_sub_norm": "blk.N.ffn_sub_norm.weight",
    },
)
