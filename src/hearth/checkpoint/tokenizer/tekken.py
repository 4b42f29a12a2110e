"""Mistral's `tekken.json`: byte-level BPE by ranks, with the special tokens before them.

Source of the format, and of the names that files of versions 3 and 7 leave out: mistral-common; and its conversion in
transformers 5 (MistralConverter).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import MAX_TOKENIZER_BYTES, PULL_AGAIN, read_json_object
from hearth.checkpoint.tokenizer.byte_level import byte_level_document
from hearth.checkpoint.tokenizer.pretokenizers import PreTokenizer
from hearth.checkpoint.tokenizer.spec import Converted, added_token, to_json
from hearth.checkpoint.tokenizer.vocabulary import MAX_PIECE_CHARS, byte_level, merges_by_score
from hearth.errors import CorruptFile, Unsupported

BOS, EOS = "<s>", "</s>"
_MAX_SPECIAL = 1 << 16
# The special tokens of files that do not list them. A program tells from these how the model was trained to chat, so
# those that came with version 7 are not in the older ones.
_V3 = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"),
    "[SUFFIX]",
)
_UNLISTED = {"v3": _V3, "v7": (*_V3, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]")}


def convert_tekken(path: Path) -> Converted:
    """The tokenizer.json of a tekken.json.

    Raises:
        CorruptFile: the file is damaged.
        Unsupported: one that does not list its special tokens, of a version where that is not known.
        StorageError: it cannot be opened.
    """
    content = read_json_object(path, MAX_TOKENIZER_BYTES)
    config, entries = content.get("config"), content.get("vocab")
    if not isinstance(config, dict) or not isinstance(entries, list) or not isinstance(config.get("pattern"), str):
        raise CorruptFile(f"{path.name} has no config, pattern or vocab.", hint=PULL_AGAIN)
    special = _special_tokens(content.get("special_tokens"), config, path.name)
    size = config.get("default_vocab_size")
    if type(size) is int:  # the rest of the list is not used
        entries = entries[: max(0, size - len(special))]
    texts = [byte_level(_token(entry, number, path.name)) for number, entry in enumerate(entries)]
    ranks = {text: rank for rank, text in enumerate(texts)}
    if len(ranks) != len(texts) or ranks.keys() & special.keys():
        raise CorruptFile(f"{path.name} names a token twice.", hint=PULL_AGAIN)
    merges = merges_by_score({text: -rank for text, rank in ranks.items()}, path.name)
    vocab = {**special, **{text: rank + len(special) for text, rank in ranks.items()}}
    added = [added_token(number, text, special=True) for text, number in special.items()]
    document = byte_level_document(vocab, merges, PreTokenizer((config["pattern"],), ignore_merges=True), added)
    named = {"bos_token": BOS, "eos_token": EOS, "unk_token": "<unk>"}
    return Converted(
        to_json(document), {name: text for name, text in named.items() if text in special}, add_bos=BOS in special
    )


def _special_tokens(given: Any, config: Mapping[str, Any], source: str) -> dict[str, int]:
    """Ids by text: those listed, and a name for each number that no listed one has."""
    if given is None and (names := _UNLISTED.get(str(config.get("version")))):
        given = [{"rank": rank, "token_str": name} for rank, name in enumerate(names)]
    if not isinstance(given, list):
        raise Unsupported(
            f"{source} does not list its special tokens.",
            why=f"Only versions {' and '.join(_UNLISTED)} are known without; its own is {config.get('version')!s:.40}.",
            hint="Look for the same model with a tokenizer.json, or as a GGUF file.",
        )
    count = config.get("default_num_special_tokens", len(given))
    if type(count) is not int or not len(given) <= count <= _MAX_SPECIAL:
        raise CorruptFile(f"{source}: default_num_special_tokens is {str(count)[:40]}.", hint=PULL_AGAIN)
    by_rank = [f"<SPECIAL_{number}>" for number in range(count)]
    for entry in given:
        rank, text = (entry.get("rank"), entry.get("token_str")) if isinstance(entry, dict) else (None, None)
        if type(rank) is not int or not 0 <= rank < count or not isinstance(text, str) or not text:
            raise CorruptFile(f"{source}: a special token has no rank or no text.", hint=PULL_AGAIN)
        by_rank[rank] = text
    special = {text: number for number, text in enumerate(by_rank)}
    if len(special) != count:
        raise CorruptFile(f"{source} names a special token twice.", hint=PULL_AGAIN)
    return special


def _token(entry: Any, number: int, source: str) -> bytes:
    word, rank = (entry.get("token_bytes"), entry.get("rank")) if isinstance(entry, dict) else (None, None)
    try:
        token = base64.b64decode(word, validate=True) if isinstance(word, str) else b""
    except (binascii.Error, ValueError):
        token = b""
    if not token or len(token) > MAX_PIECE_CHARS or rank != number:
        raise CorruptFile(f"{source}: entry {number} of the vocabulary is damaged.", hint=PULL_AGAIN)
    return token
