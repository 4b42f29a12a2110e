"""GLM-4 9B, GLM-Edge (as transformers has them: `-hf`), and the ChatGLM 3 and GLM-4 of GGUF files."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, partial_rope
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, fused


def configure(settings: Settings) -> DecoderConfig:
    return glm_config(settings, "glm")


def glm_config(settings: Settings, family: str, **differences: object) -> DecoderConfig:
    # Half of each head rotates; biases are on q, k and v alone.
    rope = partial_rope(settings)
    return llama_config(settings, family, ropes=(rope,), output_bias=False, mlp_bias=False, **differences)


# Gate and up are one tensor; in files that were made of the authors' own format, q, k and v are another.
_GATE_UP = ("gate", "up")
HF: Rules = {**LLAMA_HF, **fused("model.layers.N.mlp.gate_up_proj", _GATE_UP)}
GGUF: Rules = {**LLAMA_GGUF, **FUSED_QKV_GGUF, **fused("blk.N.ffn_up", _GATE_UP)}
DEFAULTS = {
    "num_key_value_heads": 2,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1.5625e-07,
    "attention_bias": True,
    "partial_rotary_factor": 0.5,
}
INTERLEAVED = frozenset({"safetensors", "gguf"})

FAMILY = Family(
    name="glm",
    model_types=("glm",),
    architectures=("chatglm",),
    configure=configure,
    defaults=DEFAULTS,
    hf_tensors=HF,
    gguf_tensors=GGUF,
    interleaved=INTERLEAVED,
)
