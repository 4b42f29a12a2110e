"""The families of encoders that Hearth knows: a file each. The first that answers to a configuration is taken."""

from hearth.model.encoder.families import (
    bert,
    distilbert,
    embedding_gemma,
    eurobert,
    gte,
    jina_v2,
    jina_v3,
    modernbert,
    mpnet,
    nomic_bert,
    roberta,
)
from hearth.model.encoder.families.base import Family

# Jina's models say `bert` and `xlm-roberta`, and are told by another setting.
FAMILIES: tuple[Family, ...] = tuple(
    module.FAMILY
    for module in (
        jina_v2, jina_v3, bert, distilbert, roberta, mpnet, nomic_bert, modernbert, eurobert, gte, embedding_gemma
    )
)  # fmt: skip

__all__ = ["FAMILIES", "Family"]
