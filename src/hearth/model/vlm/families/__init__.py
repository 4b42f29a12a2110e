"""The families of language models that see. Adding one is adding its file and its line here."""

from hearth.model.vlm.families import gemma3, idefics3, llava
from hearth.model.vlm.model import Family

FAMILIES: tuple[Family, ...] = (llava.FAMILY, idefics3.FAMILY, gemma3.FAMILY)

__all__ = ["FAMILIES", "Family"]
