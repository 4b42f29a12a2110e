"""The families of language models that see. Adding one is adding its file and its line here."""

from hearth.model.vlm.families import gemma3, idefics3, llava, qwen2_5_vl, qwen2_vl
from hearth.model.vlm.model import Family

FAMILIES: tuple[Family, ...] = (
    llava.FAMILY,
    idefics3.FAMILY,
    gemma3.FAMILY,
    qwen2_vl.FAMILY,
    qwen2_5_vl.FAMILY,
)

__all__ = ["FAMILIES", "Family"]
