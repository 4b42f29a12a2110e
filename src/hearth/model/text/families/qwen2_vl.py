"""The half of Qwen2-VL and Qwen2.5-VL that reads: Qwen 2 with a rotation in time, row and column."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, head_dim, llama_config
from hearth.model.text.families.qwen2 import QWEN_DEFAULTS, qwen_layers
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope

_SECTIONS = (16, 24, 24)


def configure(settings: Settings) -> DecoderConfig:
    parameters = flat_rope_parameters(settings)
    return llama_config(
        settings,
        "qwen2_vl",
        layers=qwen_layers(settings),
        # A token of a picture turns by where it is in it; a token of text by one position, as Qwen 2 does.
        ropes=(make_rope(parameters, head_dim=head_dim(settings), sections=_SECTIONS),),
        max_position=longest_context(parameters),
        qkv_bias=True,
        output_bias=False,
        mlp_bias=False,
    )


FAMILY = Family(
    name="qwen2_vl",
    model_types=("qwen2_vl_text", "qwen2_5_vl_text"),
    architectures=("qwen2vl",),
    configure=configure,
    defaults={
        **QWEN_DEFAULTS,
        "num_key_value_heads": 8,
        "max_window_layers": 80,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
    },
    gguf_defaults={"rope_theta": 1000000.0},
)
