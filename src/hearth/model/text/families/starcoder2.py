"""StarCoder 2."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, layer_kinds, llama_config, window_kind, windowed_layers
from hearth.model.text.names import LLAMA_HF, modules


def configure(settings: Settings) -> DecoderConfig:
    # LayerNorm, an MLP without a gate, one switch for all biases; all layers attend to a window, if there is one.
    kinds = layer_kinds(settings, default=window_kind(settings))
    bias = settings.flag("use_bias")
    return llama_config(
        settings,
        "starcoder2",
        norm="layer",
        norm_bias=True,
        mlp="plain",
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bias,
        layers=windowed_layers(settings, kinds),
    )


HF: Rules = {
    **LLAMA_HF,
    **modules({"layers.N.up": "model.layers.N.mlp.c_fc", "layers.N.down": "model.layers.N.mlp.c_proj"}),
}

FAMILY = Family(
    name="starcoder2",
    model_types=("starcoder2",),
    architectures=("starcoder2",),
    configure=configure,
    keys={"norm_epsilon": "layer_norm_eps"},
    defaults={
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-5,
        "use_bias": True,
        "tie_word_embeddings": True,
    },
    gguf_defaults={"hidden_act": "gelu_pytorch_tanh"},
    hf_tensors=HF,
)
