"""Llama 4: Scout, Maverick; their text half."""

from dataclasses import replace
from typing import Any

from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Fused, Rules, either
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import Family, llama_config, num_layers, window
from hearth.model.text.families.gemma3 import FAMILY as GEMMA3
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, EXPERTS_HF, experts_config, shared_hf
from hearth.model.text.names import HF_LAYER

_CHUNK, _EVERY = 8192, 4
"""What GGUF files leave out: tokens of a chunk, and after how many layers one does not rotate."""


def configure(settings: Settings) -> DecoderConfig:
    gguf = settings.kind == "gguf"
    inner = settings.count("moe_intermediate_size" if gguf else "intermediate_size")
    experts = experts_config(
        settings,
        intermediate_size=inner,
        shared_size=inner,
        scores="sigmoid",
        normalise=False,
        scales_input=True,
    )
    if experts.used != 1:
        raise settings.unsupported("num_experts_per_tok", "One of Llama 4's experts is chosen for a token.")
    # The larger model's heads are not normalised, which GGUF files do not say.
    normed = experts.count < 128 if gguf else settings.flag("use_qk_norm")
    return llama_config(
        settings,
        "llama4",
        intermediate_size=settings.count("intermediate_size" if gguf else "intermediate_size_mlp"),
        layers=_layers(settings),
        experts=experts,
        qk_norm="rotated_bare" if normed else None,
        attention_temperature=_temperature(settings),
        mlp_bias=False,
    )


def _temperature(settings: Settings) -> tuple[float, int, int] | None:
    if settings.kind == "gguf":
        return 0.1, _CHUNK, 1
    if not settings.get("attn_temperature_tuning"):
        return None
    return settings.number("attn_scale", high=1e3), settings.count("floor_scale", most=MAX_POSITIONS), 1


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Most layers rotate and attend in chunks; the others attend to everything, with queries that grow."""
    count, mixtures = num_layers(settings), _mixtures(settings)
    rotate = [bool(flag) for flag in _rotating(settings, count)]
    chunk = _chunk(settings)
    kinds = settings.sequence("layer_types", length=count)
    kinds = kinds or ["chunked_attention" if flag and chunk else "full_attention" for flag in rotate]
    known: dict[Any, LayerConfig] = {"full_attention": LayerConfig()}
    if chunk:
        known["chunked_attention"] = LayerConfig(sliding_window=chunk, chunked=True)
    layers = []
    for index, (kind, turns) in enumerate(zip(kinds, rotate, strict=True)):
        if kind not in known:
            raise settings.unsupported("layer_types", "Layers of Llama 4 attend in chunks or to everything.")
        layer = replace(known[kind], rope=0 if turns else None, tempered=not turns)
        layers.append(replace(layer, experts=index in mixtures))
    return tuple(layers)


def _rotating(settings: Settings, count: int) -> list[Any]:
    """A flag for each layer, 1 where it rotates, whatever the key's name says."""
    if settings.kind == "gguf" and _chunk(settings) is None:
        return [1] * count
    every = _EVERY if settings.kind == "gguf" else settings.count("no_rope_layer_interval")
    flags = settings.sequence("no_rope_layers", length=count) if settings.get("no_rope_layers") else None
    return flags or [(index + 1) % every for index in range(count)]


def _chunk(settings: Settings) -> int | None:
    if settings.kind == "safetensors":
        return settings.optional_count("attention_chunk_size", most=MAX_POSITIONS)
    return (window(settings) and _CHUNK) if "sliding_window" in settings.values else _CHUNK


def _mixtures(settings: Settings) -> range | list[int]:
    """Which layers have experts."""
    own = settings.get("moe_layers")
    if own is None:
        step = settings.count("moe_layer_interval")
        return range(step - 1, num_layers(settings), step)
    if not isinstance(own, list | tuple):
        raise settings.corrupt("moe_layers", "a list of layers")
    return list(own)


_PARTS = ("gate", "up", "down")
_OWN = HF_LAYER + "feed_forward."
HF: Rules = {
    **EXPERTS_HF,
    **{f"layers.N.{part}": f"{_OWN}{part}_proj.weight" for part in _PARTS},
    **shared_hf("feed_forward.shared_expert"),
    "layers.N.router": _OWN + "router.weight",
    **{
        f"layers.N.{part}": either(
            Fused(_OWN + "experts.gate_up_proj", ("gate_exps", "up_exps"), transposed=True),
            f"{_OWN}experts.E.{part.removesuffix('_exps')}_proj.weight",
        )
        for part in ("gate_exps", "up_exps")
    },
    "layers.N.down_exps": either(
        Fused(_OWN + "experts.down_proj", ("down_exps",), transposed=True), _OWN + "experts.E.down_proj.weight"
    ),
}

FAMILY = Family(
    name="llama4",
    model_types=("llama4", "llama4_text"),
    architectures=("llama4",),
    configure=configure,
    defaults={
        "vocab_size": 202048,
        "hidden_size": 5120,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 131072,
        "rope_theta": 500000.0,
        "num_experts": 16,
        "num_experts_per_tok": 1,
        "moe_layer_interval": 1,
        "use_qk_norm": True,
        "no_rope_layer_interval": 4,
        "attention_chunk_size": 8192,
        "attn_temperature_tuning": True,
        "floor_scale": 8192,
        "attn_scale": 0.1,
    },
    gguf_defaults={"moe_layer_interval": 1},
    keys={**EXPERT_KEYS, "interleave_moe_layer_step": "moe_layer_interval"},
    honours=frozenset({*EXPERTS, "moe_layer_interval", "use_qk_norm", "no_rope_layers", "attention_chunk_size"}),
    hf_tensors=HF,
    gguf_tensors=EXPERTS_GGUF,
    hf_prefixes=GEMMA3.hf_prefixes,
    ignored=("*vision_model.*", "*multi_modal_projector.*"),
    text_config="text_config",
    interleaved=frozenset({"safetensors", "gguf"}),
)
