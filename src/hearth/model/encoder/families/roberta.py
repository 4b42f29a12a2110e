"""RoBERTa and XLM-RoBERTa: multilingual E5, BGE-M3 and its reranker, CamemBERT."""

from hearth.model.encoder.config import EncoderConfig, Head, Linear
from hearth.model.encoder.families.base import Family, bert_config, token_head
from hearth.model.encoder.names import BERT_HF, with_bias
from hearth.model.settings import MAX_POSITIONS, Settings


def position_offset(settings: Settings) -> int:
    """The first token has the position after that of padding."""
    padding = settings.get("pad_token_id")
    if not isinstance(padding, int) or isinstance(padding, bool) or not 0 <= padding < MAX_POSITIONS:
        raise settings.corrupt("pad_token_id", "the number of the padding token: positions begin after it")
    return padding + 1


def longest_text(settings: Settings) -> int:
    """Rows of the position table that are left for tokens."""
    rows = settings.count("max_position_embeddings", most=MAX_POSITIONS)
    if rows <= position_offset(settings):
        raise settings.corrupt("max_position_embeddings", "more positions than the offset of padding")
    return rows - position_offset(settings)


def configure(settings: Settings) -> EncoderConfig:
    return bert_config(settings, "roberta", learned_positions=True, max_position=longest_text(settings))


def sequence_head(settings: Settings, hidden: int, labels: int) -> Head:
    """As BERT's, with layers of its own in place of the pooler."""
    del settings
    return Head("logits", ("cls",), after=(Linear("dense", hidden, activation="tanh"), Linear("out", labels)))


HEAD_HF = with_bias({"head.dense": "classifier.dense.weight", "head.out": "classifier.out_proj.weight"})

FAMILY = Family(
    name="roberta",
    model_types=("roberta", "xlm-roberta", "camembert"),
    architectures=(),  # GGUF files of it say `bert`
    configure=configure,
    defaults={"pad_token_id": 1},
    hf_tensors={**BERT_HF, **HEAD_HF},
    hf_prefixes=(("roberta.", ""), ("xlm-roberta.", ""), ("camembert.", "")),
    sequence_head=sequence_head,
    token_head=token_head,
    position_offset=position_offset,
)
