"""What tokenizer classes of transformers do around a SentencePiece model: ids of their own, tokens around a text.

The model's file does not tell: XLM-RoBERTa's class counts as fairseq did, one further than SentencePiece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.tokenizer.spec import Added
from hearth.checkpoint.tokenizer.spm import SpmModel
from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece
from hearth.errors import CorruptFile, Unsupported

_EXTRA_IDS = 100
_MAX_EXTRA_IDS = 10_000
_SAYS_NOTHING = frozenset({"", "PreTrainedTokenizer", "TokenizersBackend"})
_NO_CLASS = (
    "The tokenizer's files do not say which class reads them (tokenizer_class in tokenizer_config.json); "
    "SentencePiece's own ids are taken. A tokenizer.json says it."
)


@dataclass(frozen=True)
class SpmClass:
    """What a class does.

    Attributes:
        arranged: the model with the ids of the class, out of the model, the settings in tokenizer_config.json and the
            file's name.
        single, pair: the tokens around one text `$A` and around two, `$A` and `$B`; None: what the settings say.
        names: named special tokens that the class assumes.
    """

    arranged: Callable[[SpmModel, Mapping[str, Any], str], SpmModel]
    single: Sequence[str] | None = None
    pair: Sequence[str] = ()
    names: Mapping[str, str] | None = None


def _as_it_is(model: SpmModel, settings: Mapping[str, Any], source: str) -> SpmModel:
    return model


def _fairseq(model: SpmModel, settings: Mapping[str, Any], source: str) -> SpmModel:
    """`<s> <pad> </s> <unk>` first, then SentencePiece's pieces from the fourth on, each one further, then `<mask>`."""
    if [piece.text for piece in model.pieces[:3]] != ["<unk>", "<s>", "</s>"]:
        raise CorruptFile(
            f"{source} is no vocabulary of the tokenizer's class.",
            why="XLMRobertaTokenizer counts on one that begins with <unk>, <s> and </s>.",
            hint=PULL_AGAIN,
        )
    first = [Piece(text, 0.0, Kind.CONTROL) for text in ("<s>", "<pad>", "</s>")]
    pieces = [*first, model.pieces[0]._replace(kind=Kind.UNKNOWN), *model.pieces[3:]]
    mask = len(pieces)
    return replace(model, pieces=pieces, extra=[(mask, "<mask>", True)], strip_left=frozenset({mask}))


def _t5(model: SpmModel, settings: Mapping[str, Any], source: str) -> SpmModel:
    """After the pieces `<extra_id_99>` down to `<extra_id_0>`, which stand for what was left out of a text."""
    given = settings.get("extra_ids")
    count = given if type(given) is int and 0 <= given <= _MAX_EXTRA_IDS else _EXTRA_IDS
    size = len(model.pieces)
    return replace(model, extra=[(size + i, f"<extra_id_{count - 1 - i}>", True) for i in range(count)])


_PLAIN = SpmClass(_as_it_is)
_XLM_R = SpmClass(
    _fairseq,
    single=("<s>", "$A", "</s>"),
    pair=("<s>", "$A", "</s>", "</s>", "$B", "</s>"),
    names={
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
        "cls_token": "<s>", "mask_token": "<mask>",
    },
)  # fmt: skip
_T5 = SpmClass(
    _t5,
    single=("$A", "</s>"),
    pair=("$A", "</s>", "$B", "</s>"),
    names={"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
)
# By `tokenizer_class`, without the "Fast" that it may end in.
_CLASSES: Mapping[str, SpmClass] = {
    "XLMRobertaTokenizer": _XLM_R,
    "T5Tokenizer": _T5,
    "MT5Tokenizer": _T5,
    "LlamaTokenizer": _PLAIN,
    "GemmaTokenizer": _PLAIN,
}
_BY_MODEL_TYPE: Mapping[str, SpmClass] = {"xlm-roberta": _XLM_R, "t5": _T5, "mt5": _T5, "umt5": _T5}


def spm_class(settings: Mapping[str, Any], model_type: str, source: str) -> tuple[SpmClass, tuple[str, ...]]:
    """The class that reads a SentencePiece model, and what the user should know.

    Args:
        settings: content of tokenizer_config.json.
        model_type: of config.json, for folders whose settings name no class.
        source: name of the model's file. `tokenizer.model` belongs to classes that keep SentencePiece's ids, unless one
            is named here that does not; the other names are those of classes which mostly have ids of their own.

    Raises:
        Unsupported: a class whose ids Hearth does not know.
    """
    named = settings.get("tokenizer_class")
    name = named.removesuffix("Fast") if isinstance(named, str) else ""
    if name in _CLASSES:
        return _CLASSES[name], ()
    if source == "tokenizer.model":
        return _PLAIN, ()
    if name not in _SAYS_NOTHING:
        raise Unsupported(
            f"The tokenizer is a {name[:80]} whose vocabulary is a {source}.",
            why=f"Which ids it gives to the pieces is not in this file. Known: {', '.join(_CLASSES)}.",
            hint="Look for the same model with a tokenizer.json, or as a GGUF file.",
        )
    if model_type in _BY_MODEL_TYPE:
        return _BY_MODEL_TYPE[model_type], ()
    return _PLAIN, (_NO_CLASS,)


def arranged(
    kind: SpmClass, model: SpmModel, settings: Mapping[str, Any], added: Sequence[Added], name: str
) -> SpmModel:
    """A SentencePiece model with the ids of a class and the tokens that the authors added behind its pieces."""
    model = kind.arranged(model, settings, name)
    extra = {entry[0]: entry for entry in model.extra}
    extra |= {entry[0]: entry for entry in added if entry[0] >= len(model.pieces)}
    return replace(model, extra=[extra[number] for number in sorted(extra)])


def post_processor(kind: SpmClass, ids: Mapping[str, int], source: str) -> dict[str, Any] | None:
    """What puts the class's tokens around texts, as tokenizer.json says it; None where the settings decide.

    Args:
        ids: of the vocabulary's tokens.
        source: name of its file, for messages.

    Raises:
        CorruptFile: the vocabulary lacks one of them.
    """
    if kind.single is None:
        return None

    def part(text: str) -> dict[str, Any]:
        if text.startswith("$"):
            return {"Sequence": {"id": text[1:], "type_id": 0}}
        return {"SpecialToken": {"id": text, "type_id": 0}}

    tokens = {text for text in (*kind.single, *kind.pair) if not text.startswith("$")}
    if lacking := sorted(tokens - ids.keys()):
        raise CorruptFile(f"{source} lacks {lacking[0]}, which the tokenizer puts around a text.", hint=PULL_AGAIN)
    return {
        "type": "TemplateProcessing",
        "single": [part(text) for text in kind.single],
        "pair": [part(text) for text in kind.pair],
        "special_tokens": {text: {"id": text, "ids": [ids[text]], "tokens": [text]} for text in sorted(tokens)},
    }
