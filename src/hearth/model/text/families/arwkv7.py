"""ARWKV-7: Qwen 2.5 whose attention was replaced by RWKV-7's. Only GGUF files of it are read."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, num_layers, recurrent
from hearth.model.text.families.rwkv7 import RWKV7_GGUF, rwkv7
from hearth.model.text.names import LLAMA_GGUF


def configure(settings: Settings) -> DecoderConfig:
    if settings.get("gate_low_rank_dim") == 0:
        raise settings.unsupported("gate_low_rank_dim", "Hearth computes outputs that have a gate.")
    mixer = replace(rwkv7(settings), normalises=settings.flag("time_mix_norm"))
    layers = tuple(recurrent(replace(mixer, first=i == 0)) for i in range(num_layers(settings)))
    return llama_config(settings, "arwkv7", layers=layers, ropes=())


FAMILY = Family(
    name="arwkv7",
    model_types=(),
    architectures=("arwkv7",),
    configure=configure,
    gguf_defaults={"num_attention_heads": 1, "head_dim": 16},
    gguf_tensors={**LLAMA_GGUF, **RWKV7_GGUF},
    ignored=("blk.0.time_mix_v[012].weight",),
)
