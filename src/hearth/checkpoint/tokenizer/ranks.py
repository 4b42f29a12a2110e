"""Vocabularies as lists of ranks (tiktoken's files): Llama 3's `tokenizer.model`, `tiktoken.model`, `*.tiktoken`.

A list says which tokens there are, and that the lowest rank is joined first. How a text is cut into words before that,
and which special tokens follow, stands in the authors' Python, which is never run: a table here knows it, by the class
that tokenizer_config.json names. Sources: llama-models (models/llama3/tokenizer.py); `tokenization_*.py` of Kimi K2 and
Moonlight, of Qwen, GLM-4, StableLM 2 (arcade100k) and Hunyuan.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.tokenizer.byte_level import byte_level_document
from hearth.checkpoint.tokenizer.pretokenizers import LLAMA3, PRE_TOKENIZERS, PreTokenizer
from hearth.checkpoint.tokenizer.spec import Added, Converted, added_token, to_json
from hearth.checkpoint.tokenizer.vocabulary import MAX_PIECE_CHARS, byte_level, merges_by_score
from hearth.errors import CorruptFile, Unsupported

_LLAMA3_SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|step_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|image|>",
)
_NUM_RESERVED = 256
"""Special tokens after the ranks of Llama 3, and of Kimi."""


def llama3_special_tokens(names: Sequence[str] = _LLAMA3_SPECIAL) -> list[str]:
    """The 256 special tokens after the ranks, in order."""
    reserved = (f"<|reserved_special_token_{2 + i}|>" for i in range(_NUM_RESERVED - len(names)))
    return [*names, *reserved]


def _kimi_special_tokens(first: int) -> list[str]:
    return [f"<|reserved_token_{number}|>" for number in range(first, first + _NUM_RESERVED)]


def _qwen_special_tokens(first: int) -> list[str]:
    return ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))]


def _hunyuan_special_tokens(first: int) -> list[str]:
    names = ("<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>")
    return [*names, *(f"<|extra_{i}|>" for i in range(204))]


@dataclass(frozen=True)
class RankKind:
    """What a family does beside joining.

    Attributes:
        pre_tokenizer: how text is cut into words.
        normalizer: applied first.
        special: the special tokens after the ranks, of which the first has this id, in order; tokenizer_config.json may
            name them otherwise. None: it names all of them.
        named: special tokens by name, where nothing else says so.
        ends: special tokens that end an answer besides.
    """

    pre_tokenizer: PreTokenizer
    normalizer: Mapping[str, Any] | None = None
    special: Callable[[int], Sequence[str]] | None = None
    named: Mapping[str, str] = field(default_factory=dict)
    ends: tuple[str, ...] = ()


LLAMA3_RANKS = RankKind(
    LLAMA3,
    special=lambda _: llama3_special_tokens(),
    named={"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
    ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
)
_KIMI = RankKind(PRE_TOKENIZERS["kimi-k2"], special=_kimi_special_tokens)
_QWEN = RankKind(
    PRE_TOKENIZERS["qwen2"], {"type": "NFC"}, _qwen_special_tokens, {"eos_token": "<|endoftext|>"}, ("<|im_end|>",)
)
# By `tokenizer_class`, without the "Fast" that it may end in.
_KINDS: Mapping[str, RankKind] = {
    "TikTokenTokenizer": _KIMI,
    "KimiTokenizer": _KIMI,
    "QWenTokenizer": _QWEN,
    "ChatGLM4Tokenizer": RankKind(LLAMA3),
    "Arcade100kTokenizer": RankKind(PRE_TOKENIZERS["stablelm2"], {"type": "NFC"}),
    "HYTokenizer": RankKind(
        PRE_TOKENIZERS["hunyuan"], {"type": "NFC"}, _hunyuan_special_tokens, {"eos_token": "<|eos|>"}
    ),
}
# Where no class is named: `model_type` of config.json.
_BY_MODEL_TYPE: Mapping[str, RankKind] = {"kimi_k2": _KIMI, "kimi_linear": _KIMI, "qwen": _QWEN}


def rank_kind(settings: Mapping[str, Any], model_type: str, source: str) -> RankKind:
    """What the family of a folder's list of ranks does besides.

    Args:
        settings: content of tokenizer_config.json.
        model_type: of config.json.
        source: for messages.

    Raises:
        Unsupported: nothing here knows it.
    """
    named = settings.get("tokenizer_class")
    name = named.removesuffix("Fast") if isinstance(named, str) else ""
    kind = _KINDS.get(name) if name else _BY_MODEL_TYPE.get(model_type)
    if kind is None:
        raise Unsupported(
            f"{source} is a list of ranks of a {name[:80] or 'tokenizer that nothing names'}.",
            why="How it cuts a text into words stands in the authors' Python, which Hearth does not run. Known: "
            f"{', '.join(_KINDS)}.",
            hint="Look for the same model with a tokenizer.json, or as a GGUF file.",
        )
    return kind


def llama3_or_named(settings: Mapping[str, Any], *, named: bool) -> RankKind:
    """What the list of ranks in a `tokenizer.model` is: that of a class named, else Llama 3's.

    Args:
        named: tokenizer_config.json lists the special tokens.
    """
    kind = _KINDS.get(str(settings.get("tokenizer_class")), LLAMA3_RANKS)
    return replace(kind, special=None) if named and kind is LLAMA3_RANKS else kind


def looks_like_ranks(data: bytes) -> bool:
    """A list of `base64 rank` lines is text; a SentencePiece model begins with the byte 0x0A of its first piece."""
    first = data[:200].split(b"\n", 1)[0].split(b" ")
    return len(first) == 2 and first[1].strip() == b"0"


def read_ranks(data: bytes, source: str) -> list[bytes]:
    """Tokens by rank from lines of `base64 rank`.

    Raises:
        CorruptFile: a line is malformed, or ranks are not 0, 1, 2, ...
    """
    tokens: list[bytes] = []
    for number, line in enumerate(data.splitlines()):
        word, _, rank = line.partition(b" ")
        try:
            token = base64.b64decode(word, validate=True)
        except binascii.Error:
            token = b""
        if not token or len(token) > MAX_PIECE_CHARS or rank != str(number).encode():
            raise CorruptFile(
                f"{source}, line {number + 1}: not a token and its rank.",
                why=f"It says {line[:60]!r}.",
                hint=PULL_AGAIN,
            )
        tokens.append(token)
    if not tokens:
        raise CorruptFile(f"{source} is empty.", hint=PULL_AGAIN)
    return tokens


def convert_ranks(data: bytes, kind: RankKind, added: Sequence[Added], source: str) -> Converted:
    """The tokenizer.json of a list of ranks.

    Args:
        data: content of the file.
        added: tokens that tokenizer_config.json names.
        source: for messages.

    Raises:
        CorruptFile: the file is damaged, or names a token twice.
        Unsupported: nothing says what its special tokens are.
    """
    texts = [byte_level(token) for token in read_ranks(data, source)]
    reserved = kind.special(len(texts)) if kind.special else ()
    special = {number: (text, True) for number, text in enumerate(reserved, len(texts))}
    special |= {number: (text, flag) for number, text, flag in added}
    if not special:
        raise Unsupported(
            f"{source} comes without its special tokens.",
            why="tokenizer_config.json lists none (added_tokens_decoder), and they stand nowhere else but in Python.",
            hint="Look for the same model with a tokenizer.json, or as a GGUF file.",
        )
    ranks = {text: rank for rank, text in enumerate(texts)}
    ids = {text: number for number, (text, _) in special.items()}
    beside = ids.keys() & ranks.keys() or min(ids.values()) < len(texts)
    if len(ranks) != len(texts) or len(ids) != len(special) or beside:
        raise CorruptFile(f"{source} names a token twice.", hint=PULL_AGAIN)
    # The lowest rank is joined first, so the rank is a score that falls. A word that is a token is taken as it is.
    merges = merges_by_score({text: -rank for text, rank in ranks.items()}, source)
    entries = [added_token(number, text, special=flag) for number, (text, flag) in sorted(special.items())]
    pre_tokenizer = kind.pre_tokenizer._replace(ignore_merges=True)
    document = byte_level_document(ranks | ids, merges, pre_tokenizer, entries)
    document["normalizer"] = kind.normalizer
    named = {name: text for name, text in kind.named.items() if text in ids}
    ends = tuple(ids[text] for text in kind.ends if text in ids)
    return Converted(to_json(document), named, add_bos="bos_token" in named, ends=ends)
