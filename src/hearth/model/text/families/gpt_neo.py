"""GPT-Neo."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families import gpt2
from hearth.model.text.families.base import Family, num_layers
from hearth.model.text.names import modules


def configure(settings: Settings) -> DecoderConfig:
    # Scores are not scaled; q, k and v have no biases; layers of its list attend to a window.
    return gpt2.gpt2_config(settings, "gpt_neo", attention_scale=1.0, qkv_bias=False, layers=_layers(settings))


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    count, pattern = num_layers(settings), settings.get("attention_types")
    kinds: list[str] = []
    for item in pattern if isinstance(pattern, list) else []:
        whole = isinstance(item, list) and len(item) == 2 and isinstance(item[0], list) and isinstance(item[1], int)
        if not whole or not set(item[0]) <= {"global", "local"} or not 0 < item[1] * len(item[0]) <= count:
            break
        kinds += item[0] * item[1]
    if len(kinds) != count:
        raise settings.corrupt("attention_types", f"lists of 'global' and 'local' for {count} layers")
    window = settings.count("window_size")
    return tuple(LayerConfig(None, window if kind == "local" else None) for kind in kinds)


HF: Rules = {
    **gpt2.GPT_HF,
    **modules(
        {
            **{f"layers.N.{x}": f"model.h.N.attn.attention.{x}_proj" for x in "qkv"},
            "layers.N.o": "model.h.N.attn.attention.out_proj",
        }
    ),
}

FAMILY = Family(
    name="gpt_neo",
    model_types=("gpt_neo",),
    architectures=(),
    configure=configure,
    keys={
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "activation_function": "hidden_act",
        "layer_norm_epsilon": "layer_norm_eps",
    },
    defaults={
        **gpt2.FAMILY.defaults,
        "max_position_embeddings": 2048,
        "window_size": 256,
        "attention_types": [[["global", "local"], 12]],
    },
    hf_tensors=HF,
    hf_prefixes=gpt2.PREFIXES,
    ignored=("*.attn.attention.bias", "*.attn.attention.masked_bias"),
)
