"""StarCoder 1, SantaCoder, Granite Code 20B and 34B."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import gpt2
from hearth.model.text.names import QKV, fused


def configure(settings: Settings) -> DecoderConfig:
    # One head of keys and values for all.
    heads = None if settings.kind == "gguf" or not settings.flag("multi_query") else 1
    return gpt2.gpt2_config(settings, "gpt_bigcode", num_kv_heads=heads)


HF: Rules = {**gpt2.GPT_HF, **fused("model.h.N.attn.c_attn", QKV, groups="kv_heads")}

FAMILY = replace(
    gpt2.FAMILY,
    name="gpt_bigcode",
    model_types=("gpt_bigcode",),
    architectures=("starcoder",),
    configure=configure,
    defaults={**gpt2.FAMILY.defaults, "hidden_act": "gelu_pytorch_tanh", "multi_query": True},
    hf_tensors=HF,
)
