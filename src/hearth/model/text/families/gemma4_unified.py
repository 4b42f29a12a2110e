"""Gemma 4 12B, whose tower is a product alone; its text half."""

from dataclasses import replace

from hearth.model.text.families.gemma4 import FAMILY as GEMMA4

FAMILY = replace(
    GEMMA4,
    name="gemma4_unified",
    model_types=("gemma4_unified", "gemma4_unified_text"),
    architectures=(),  # GGUF files say gemma4
    # There is no second embedding.
    defaults={
        **GEMMA4.defaults,
        "hidden_size_per_layer_input": 0,
        "sliding_window": 1024,
        "max_position_embeddings": 262144,
    },
)
