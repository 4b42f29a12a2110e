"""Byte-level BPE as a tokenizer.json, and the vocabularies that Llama 3 publishes as a list of ranks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.tokenizer.pretokenizers import LLAMA3, PreTokenizer
from hearth.checkpoint.tokenizer.spec import added_token, document, sequence
from hearth.checkpoint.tokenizer.vocabulary import MAX_PIECE_CHARS, byte_level, merges_by_score
from hearth.errors import CorruptFile


def byte_level_document(
    vocab: Mapping[str, int],
    merges: Iterable[tuple[str, str]],
    pre_tokenizer: PreTokenizer,
    added_tokens: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """The tokenizer.json of a byte-level BPE vocabulary.

    Args:
        vocab: ids by token; ordinary tokens spell each byte as one printable character.
        merges: best first.
        pre_tokenizer: how text is cut into words.
        added_tokens: entries of `spec.added_token`, found in the text before it is cut.
    """
    steps: list[dict[str, Any]] = [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        for regex in pre_tokenizer.expressions
    ]
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return document(
        {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": pre_tokenizer.ignore_merges,
            "vocab": dict(vocab),
            "merges": list(merges),
        },
        added_tokens=added_tokens,
        pre_tokenizer=sequence("Sequence", "pretokenizers", [*steps, to_bytes]),
        decoder=dict(to_bytes),
    )


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
_LLAMA3_NUM_SPECIAL = 256
LLAMA3_BOS, LLAMA3_EOS = "<|begin_of_text|>", ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")


def llama3_special_tokens(names: Sequence[str] = _LLAMA3_SPECIAL) -> list[str]:
    """The 256 special tokens after the ranks, in order. Source: Meta's llama-models, models/llama3/tokenizer.py."""
    reserved = (f"<|reserved_special_token_{2 + i}|>" for i in range(_LLAMA3_NUM_SPECIAL - len(names)))
    return [*names, *reserved]


def read_ranks(data: bytes, source: str) -> list[bytes]:
    """Tokens by rank from lines of `base64 rank` (tiktoken's format, which Llama 3 publishes as tokenizer.model).

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
    return tokens


def llama3_document(
    data: bytes, special: Mapping[str, int] | None, source: str
) -> tuple[dict[str, Any], dict[str, int]]:
    """The tokenizer.json of Llama 3's `tokenizer.model`, and the ids of its special tokens.

    Args:
        data: content of the file.
        special: ids of the special tokens where a tokenizer_config.json names them; None for Meta's own list.
        source: for messages.

    Raises:
        CorruptFile: the file is damaged, or names a token twice.
    """
    texts = [byte_level(token) for token in read_ranks(data, source)]
    if special is None:
        special = {name: len(texts) + i for i, name in enumerate(llama3_special_tokens())}
    vocab = {text: rank for rank, text in enumerate(texts)}
    if len(vocab) != len(texts) or vocab.keys() & special.keys():
        raise CorruptFile(f"{source} names a token twice.", hint=PULL_AGAIN)
    # The lowest rank is joined first, so the rank is a score that falls.
    merges = merges_by_score({text: -rank for text, rank in vocab.items()}, source)
    added = [added_token(number, text, special=True) for text, number in special.items()]
    return byte_level_document({**vocab, **special}, merges, LLAMA3, added), dict(special)
