"""The families Hearth knows: a file each. Adding one is adding its file and its line here (docs/families.md)."""

from hearth.model.text.families import (
    gemma2,
    gemma3,
    granite,
    llama,
    mistral,
    olmo2,
    phi3,
    qwen2,
    qwen2_vl,
    qwen3,
    smollm3,
)
from hearth.model.text.families.base import Family

FAMILIES: tuple[Family, ...] = tuple(
    module.FAMILY for module in (llama, mistral, qwen2, qwen2_vl, qwen3, gemma2, gemma3, phi3, smollm3, olmo2, granite)
)

__all__ = ["FAMILIES", "Family"]
