"""EXAONE 3.0, 3.5 and Deep: a Llama under names of its own."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.names import HF_LAYER, LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    return llama_config(settings, "exaone")


# As published; transformers saves them as Llama's.
_PUBLISHED = {
    "attn_norm": "ln_1",
    **{x: f"attn.attention.{x}_proj" for x in "qkv"},
    "o": "attn.attention.out_proj",
    "mlp_norm": "ln_2",
    "gate": "mlp.c_fc_0",
    "up": "mlp.c_fc_1",
    "down": "mlp.c_proj",
}
HF: Rules = {
    **LLAMA_HF,
    **{
        f"layers.N.{name}": (f"{HF_LAYER}{published}.weight", str(LLAMA_HF[f"layers.N.{name}"]))
        for name, published in _PUBLISHED.items()
    },
}

FAMILY = Family(
    name="exaone",
    model_types=("exaone",),
    architectures=("exaone",),
    configure=configure,
    keys={"num_layers": "num_hidden_layers", "layer_norm_epsilon": "rms_norm_eps", "activation_function": "hidden_act"},
    defaults={
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
    },
    hf_tensors=HF,
    hf_prefixes=(
        ("transformer.h.", HF_LAYER.removesuffix("N.")),
        ("transformer.wte.", "model.embed_tokens."),
        ("transformer.ln_f.", "model.norm."),
    ),
)
