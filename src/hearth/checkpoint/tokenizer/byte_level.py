"""Byte-level BPE as a tokenizer.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hearth.checkpoint.tokenizer.pretokenizers import PreTokenizer
from hearth.checkpoint.tokenizer.spec import document, sequence


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
