"""InternLM 3. Its GGUF files say `llama`."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config


def configure(settings: Settings) -> DecoderConfig:
    # The switch of the MLP's biases is that of attention's way out too.
    bias = settings.flag("mlp_bias")
    return llama_config(settings, "internlm3", output_bias=bias)


FAMILY = Family(
    name="internlm3",
    model_types=("internlm3",),
    architectures=(),
    configure=configure,
    keys={"qkv_bias": "attention_bias", "bias": "mlp_bias"},
    defaults={
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
    },
)
