"""BERT, and what was trained from it: MiniLM, BGE, E5, GTE (first), mxbai, Arctic; rerankers and taggers of it."""

from hearth.model.encoder.config import EncoderConfig
from hearth.model.encoder.families.base import Family, bert_config, pooler_head, token_head
from hearth.model.settings import Settings


def configure(settings: Settings) -> EncoderConfig:
    return bert_config(settings, "bert", learned_positions=True)


FAMILY = Family(
    name="bert",
    model_types=("bert",),
    # RoBERTa and its kin as well: the converter cuts off the rows of the position table that are not used.
    architectures=("bert",),
    configure=configure,
    hf_prefixes=(("bert.", ""),),
    sequence_head=pooler_head,
    token_head=token_head,
)
