"""OPT."""

from hearth.model.settings import Settings
from hearth.model.tensors import Fused, Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import Family, llama_config, num_layers
from hearth.model.text.names import LLAMA_HF, modules

_OFF = {"do_layer_norm_before": True, "_remove_final_layer_norm": False, "layer_norm_elementwise_affine": True}


def configure(settings: Settings) -> DecoderConfig:
    for key, usual in _OFF.items():
        if settings.flag(key) != usual:
            raise settings.unsupported(key, f"Hearth computes OPT with {key} = {str(usual).lower()}.")
    if settings.optional_count("word_embed_proj_dim") not in (None, settings.count("hidden_size")):
        raise settings.unsupported("word_embed_proj_dim", "Embeddings are as wide as hidden states in Hearth's OPT.")
    # LayerNorm, an MLP without a gate, learned positions instead of rotations, one switch for all biases.
    bias = settings.flag("enable_bias")
    return llama_config(
        settings,
        "opt",
        norm="layer",
        norm_bias=True,
        mlp="plain",
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bias,
        position_table=True,
        layers=(LayerConfig(rope=None),) * num_layers(settings),
        ropes=(),
    )


HF: Rules = {
    **LLAMA_HF,
    # Its table of positions begins with two that no token has.
    "position_embed": Fused("model.embed_positions.weight", ("position_embed",), skip=2),
    **modules(
        {
            "layers.N.attn_norm": "model.layers.N.self_attn_layer_norm",
            "layers.N.o": "model.layers.N.self_attn.out_proj",
            "layers.N.mlp_norm": "model.layers.N.final_layer_norm",
            "layers.N.up": "model.layers.N.fc1",
            "layers.N.down": "model.layers.N.fc2",
            "norm": "model.final_layer_norm",
        }
    ),
}

FAMILY = Family(
    name="opt",
    model_types=("opt",),
    architectures=(),
    configure=configure,
    keys={"ffn_dim": "intermediate_size", "activation_function": "hidden_act"},
    defaults={
        **_OFF,
        "hidden_act": "relu",
        "layer_norm_eps": 1e-5,
        "enable_bias": True,
        "tie_word_embeddings": True,
    },
    hf_tensors=HF,
    hf_prefixes=(("model.decoder.", "model."), ("decoder.", "model.")),
)
