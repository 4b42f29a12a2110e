"""QRWKV-6: Qwen 2.5 whose attention was replaced by a variant of RWKV-6's. Only GGUF files of it are read."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, num_layers, recurrent
from hearth.model.text.families.rwkv6 import RWKV6_GGUF, rwkv6
from hearth.model.text.names import LLAMA_GGUF


def configure(settings: Settings) -> DecoderConfig:
    mixer = rwkv6(settings)
    kv_heads = settings.optional_count("num_key_value_heads", most=mixer.heads) or mixer.heads
    if mixer.heads % kv_heads:
        raise settings.corrupt("num_key_value_heads", f"a divisor of the {mixer.heads} heads")
    mixer = replace(mixer, kv_heads=kv_heads, gated=True, bias=settings.flag("time_mix_bias"))
    layers = (recurrent(mixer),) * num_layers(settings)
    return llama_config(settings, "rwkv6qwen2", layers=layers, ropes=(), num_kv_heads=1)


FAMILY = Family(
    name="rwkv6qwen2",
    model_types=(),
    architectures=("rwkv6qwen2",),
    configure=configure,
    gguf_defaults={"num_attention_heads": 1, "head_dim": 16},
    gguf_tensors={**LLAMA_GGUF, **RWKV6_GGUF},
)
