"""RWKV's World vocabulary as a tokenizer.json: from left to right always the longest token, byte by byte.

The `tokenizers` library has no model that does this, but its parts do it together: text is spelled one printable
character a byte, cut by an expression that matches the longest token (the trie of all tokens, written as alternatives
that begin with different characters, so that nothing is tried twice), and each piece is looked up.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import MAX_TOKENIZER_BYTES, PULL_AGAIN, read_text
from hearth.checkpoint.tokenizer.spec import Added, Converted, added_token, document, to_json
from hearth.checkpoint.tokenizer.vocabulary import byte_level
from hearth.errors import CorruptFile

VOCABULARY_FILE = "rwkv_vocab_v20230424.txt"
# The longest token of the published vocabulary has 128 bytes, and all have 0.5 MB.
_MAX_BYTES = 256
_MAX_ALL_BYTES = 16 << 20
_MAX_LINE = 64 + 8 * _MAX_BYTES
_END = ""
"""In a node of a trie: a token ends here."""
_ESCAPES = {"t": b"\t", "n": b"\n", "r": b"\r"}
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})|\\(.)", re.DOTALL)
_SYNTAX = frozenset(r"\.[]{}()*+?^$|-&#/~ ")

Trie = dict[str, Any]


def world_document(
    tokens: Mapping[int, bytes], added_tokens: Sequence[Mapping[str, Any]], source: str
) -> dict[str, Any]:
    """The tokenizer.json of a vocabulary.

    Args:
        tokens: by id.
        added_tokens: entries of `spec.added_token`, found in the text before it is cut.
        source: for messages.

    Raises:
        CorruptFile: two tokens are the same, one is of absurd length, or a byte has none.
    """
    vocab: dict[str, int] = {}
    for number, token in tokens.items():
        text = byte_level(token)
        if not 1 <= len(token) <= _MAX_BYTES or vocab.setdefault(text, number) != number:
            raise CorruptFile(
                f"Entry {number} of the vocabulary in {source} is empty, too long or there twice.",
                why=f"It is {token[:40]!r}.",
                hint=PULL_AGAIN,
            )
    lacking = next((byte for byte in range(256) if byte_level(bytes([byte])) not in vocab), None)
    if lacking is not None or sum(map(len, vocab)) > _MAX_ALL_BYTES:
        why = "It is far larger than any published one." if lacking is None else f"No token is the byte {lacking}."
        raise CorruptFile(f"The vocabulary in {source} is damaged.", why=why, hint=PULL_AGAIN)
    bytes_first = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    cut = {"type": "Split", "pattern": {"Regex": longest_of(vocab)}, "behavior": "Isolated", "invert": False}
    # The library would number added tokens anew that it does not find there; a text cannot be cut into one.
    found = {entry["content"]: entry["id"] for entry in added_tokens} | vocab
    return document(
        {"type": "WordLevel", "vocab": found, "unk_token": byte_level(b"\0")},  # there is nothing unknown
        added_tokens=added_tokens,
        pre_tokenizer={"type": "Sequence", "pretokenizers": [bytes_first, cut]},
        decoder=dict(bytes_first),
    )


def longest_of(texts: Iterable[str]) -> str:
    """An expression that matches the longest of some texts, of at most `_MAX_BYTES` characters each."""
    root: Trie = {}
    for text in texts:
        node = root
        for character in text:
            node = node.setdefault(character, {})
        node[_END] = {}
    return _behind(root)


def _behind(node: Trie) -> str:
    """What may follow where the texts of a node have begun."""
    single: list[str] = []
    longer: list[str] = []
    for character, child in node.items():
        if character == _END:
            continue
        begin = [character]
        while len(child) == 1 and _END not in child:
            (character, child) = next(iter(child.items()))
            begin.append(character)
        rest = _behind(child)
        (single if not rest and len(begin) == 1 else longer).append("".join(map(_literal, begin)) + rest)
    if single:
        longer.append(single[0] if len(single) == 1 else f"[{''.join(single)}]")
    if not longer:
        return ""
    if len(longer) == 1 and _END not in node:
        return longer[0]
    return f"(?:{'|'.join(longer)}){'?' if _END in node else ''}"


def _literal(character: str) -> str:
    return f"\\{character}" if character in _SYNTAX else character


def unescaped(text: str) -> bytes:
    """A token as GGUF files spell it: as Python writes bytes, between the quotes."""

    def one(match: re.Match[str]) -> str:
        value = bytes([int(match[1], 16)]) if match[1] else _ESCAPES.get(match[2], match[2].encode())
        return value.decode("utf-8", "surrogateescape")

    return _ESCAPED.sub(one, text).encode("utf-8", "surrogateescape")


def convert_world(path: Path, settings: Mapping[str, Any], added: Sequence[Added]) -> Converted:
    """The tokenizer.json of a vocabulary as its authors publish it: lines of an id, a literal of Python, and how many
    bytes it is.

    Args:
        settings: content of tokenizer_config.json.
        added: tokens that the authors added.

    Raises:
        CorruptFile: a line is malformed, or as `world_document`.
        StorageError: the file cannot be opened.
    """
    tokens: dict[int, bytes] = {}
    for number, line in enumerate(read_text(path, MAX_TOKENIZER_BYTES).split("\n")):
        if line.strip():
            token_id, token = _parsed(line, f"{path.name}, line {number + 1}")
            tokens[token_id] = token
    # Number 0, which the file leaves out, ends a text.
    special = {token_id: added_token(token_id, text, special=flag) for token_id, text, flag in added}
    special.setdefault(0, added_token(0, "<|rwkv_tokenizer_end_of_text|>", special=True))
    tokens = {number: token for number, token in tokens.items() if number not in special}
    made = world_document(tokens, [special[number] for number in sorted(special)], path.name)
    # Newer folders end an answer with an empty line, which is a token of the text.
    end = settings.get("eos_token")
    end_id = made["model"]["vocab"].get(byte_level(end.encode("utf-8", "replace"))) if isinstance(end, str) else None
    return Converted(to_json(made), ends=(0,) if end_id is None else (0, end_id))


def _parsed(line: str, where: str) -> tuple[int, bytes]:
    first, _, rest = line.strip().partition(" ")
    literal, _, size = rest.rpartition(" ")
    token: Any = None
    if len(line) <= _MAX_LINE and first.isdecimal() and size.isdecimal():
        try:
            token = ast.literal_eval(literal)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            token = None
    token = token.encode("utf-8", "surrogatepass") if isinstance(token, str) else token
    if not isinstance(token, bytes) or str(len(token)) != size or len(first) > 9:
        raise CorruptFile(f"{where}: not an id, a token and its size.", why=f"It says {line[:60]!r}.", hint=PULL_AGAIN)
    return int(first), token
