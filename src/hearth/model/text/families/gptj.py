"""GPT-J."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import gpt2
from hearth.model.text.families.base import MAX_HEAD_DIM, Family, head_dim, inner_size, llama_config
from hearth.model.text.names import LLAMA_HF, modules
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> DecoderConfig:
    return gptj_config(settings, "gptj")


def gptj_config(settings: Settings, family: str, **differences: Any) -> DecoderConfig:
    """Attention and an MLP without a gate read one LayerNorm beside each other; a part of each head rotates; biases are
    on the MLP and the head."""
    rotary_dim = settings.optional_count("rotary_dim", most=MAX_HEAD_DIM)
    rope = make_rope(flat_rope_parameters(settings), head_dim=head_dim(settings), rotary_dim=rotary_dim)
    fields: dict[str, Any] = {
        "norm": "layer",
        "norm_bias": True,
        "branches": "parallel_shared",
        "mlp": "plain",
        "mlp_bias": True,
        "head_bias": True,
        "intermediate_size": inner_size(settings),
        "ropes": (rope,),
    }
    return llama_config(settings, family, **fields | differences)


GPTJ_HF: Rules = {
    **LLAMA_HF,
    **modules(
        {
            "embed": "model.wte",
            "layers.N.attn_norm": "model.h.N.ln_1",
            **{f"layers.N.{x}": f"model.h.N.attn.{x}_proj" for x in "qkv"},
            "layers.N.o": "model.h.N.attn.out_proj",
            "layers.N.up": "model.h.N.mlp.fc_in",
            "layers.N.down": "model.h.N.mlp.fc_out",
            "norm": "model.ln_f",
        }
    ),
}

FAMILY = Family(
    name="gptj",
    model_types=("gptj",),
    architectures=(),
    configure=configure,
    keys=gpt2.KEYS,
    defaults={
        "max_position_embeddings": 2048,
        "rotary_dim": 64,
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
    },
    hf_tensors=GPTJ_HF,
    hf_prefixes=gpt2.PREFIXES,
    ignored=gpt2.MASKS,
    interleaved=frozenset({"safetensors"}),
)
