"""The families Hearth knows: a file each. Adding one is adding its file and its line here (docs/families.md)."""

from hearth.model.text.families import (
    ernie4_5,
    exaone,
    exaone4,
    gemma,
    gemma2,
    gemma3,
    glm,
    glm4,
    granite,
    helium,
    hyperclovax,
    internlm3,
    llama,
    mistral,
    olmo2,
    olmo3,
    phi3,
    qwen2,
    qwen2_vl,
    qwen3,
    seed_oss,
    smollm3,
    vaultgemma,
)
from hearth.model.text.families.base import Family

FAMILIES: tuple[Family, ...] = tuple(
    module.FAMILY
    for module in (
        llama,
        mistral,
        qwen2,
        qwen2_vl,
        qwen3,
        gemma,
        gemma2,
        gemma3,
        vaultgemma,
        phi3,
        smollm3,
        olmo2,
        olmo3,
        granite,
        hyperclovax,
        glm,
        glm4,
        exaone,
        exaone4,
        seed_oss,
        ernie4_5,
        helium,
        internlm3,
    )
)

__all__ = ["FAMILIES", "Family"]
