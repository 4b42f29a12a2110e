"""MiniMax-M2."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, RopeConfig
from hearth.model.text.families.base import Family, full_layers, head_dim, llama_config
from hearth.model.text.families.mixtral import HF as MIXTRAL_HF
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, experts_config, with_experts
from hearth.model.text.names import HF_LAYER
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> DecoderConfig:
    # q and k are normalised as a whole, and a part of each head rotates; all layers are mixtures, by sigmoids with a
    # correction for the choice. No biases, whatever the file says.
    return llama_config(
        settings,
        "minimax_m2",
        layers=with_experts(full_layers(settings)),
        experts=experts_config(settings, scores="sigmoid", choice_bias=True, normalise=True, shared_size=0),
        ropes=(_rope(settings),),
        qk_norm="full",
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
    )


def _rope(settings: Settings) -> RopeConfig:
    """How much of a head rotates stands in `rotary_dim` where no share of it is given."""
    parameters, size = flat_rope_parameters(settings), head_dim(settings)
    given = parameters.get("partial_rotary_factor") is not None
    rotary_dim = None if given else settings.optional_count("rotary_dim", most=size)
    return make_rope(parameters, head_dim=size, partial=True, rotary_dim=rotary_dim)


FAMILY = Family(
    name="minimax_m2",
    model_types=("minimax_m2",),
    architectures=("minimax-m2",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "max_position_embeddings": 196608,
        "rope_theta": 5e6,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS | {"use_qk_norm"},
    hf_tensors={
        **MIXTRAL_HF,
        "layers.N.choice_bias": HF_LAYER + "block_sparse_moe.e_score_correction_bias",
    },
    gguf_tensors=EXPERTS_GGUF,
)
