"""Llama 1, 2 and 3, and what is built like them. The other families are differences from this one."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import mixtral
from hearth.model.text.families.base import Family, layer_kinds, llama_config, window, windowed_layers
from hearth.model.text.families.mixture import EXPERTS, EXPERTS_GGUF


def configure(settings: Settings) -> DecoderConfig:
    if settings.kind == "gguf" and settings.get("num_experts"):
        return mixtral.configure(settings)  # whose files say "llama" too
    if settings.kind == "gguf" and window(settings) is not None:
        # Mistral's files say "llama" too; a window in the metadata is for all layers.
        kinds = layer_kinds(settings, default="sliding_attention")
        return llama_config(settings, "llama", layers=windowed_layers(settings, kinds))
    return llama_config(settings, "llama")


FAMILY = Family(
    name="llama",
    model_types=("llama", "iquestcoder"),
    architectures=("llama",),
    configure=configure,
    gguf_honours=EXPERTS,
    gguf_tensors=EXPERTS_GGUF,
    interleaved=frozenset({"gguf"}),
)
