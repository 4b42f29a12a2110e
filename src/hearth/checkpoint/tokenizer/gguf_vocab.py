"""The tokenizer inside a GGUF file: which kind it is, and what its `tokenizer.*` metadata say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.tokenizer.byte_level import byte_level_document
from hearth.checkpoint.tokenizer.end_tokens import end_ids
from hearth.checkpoint.tokenizer.guard import load_tokenizer
from hearth.checkpoint.tokenizer.pretokenizers import PRE_TOKENIZERS, SPACES_ESCAPED, PreTokenizer
from hearth.checkpoint.tokenizer.rows import fit_to_rows
from hearth.checkpoint.tokenizer.spec import added_token, document, to_json
from hearth.checkpoint.tokenizer.spm import SpmModel, spm_document
from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece, check_pieces
from hearth.checkpoint.tokenizer.wordpiece import wordpiece_document
from hearth.checkpoint.tokenizer.world import unescaped, world_document
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile, Unsupported

# By `tokenizer.ggml.model`: BOS, EOS and unknown ids and add_bos, add_eos where the file does not say (llama.cpp).
_DEFAULTS: dict[str, tuple[int | None, int | None, int | None, bool, bool]] = {
    "llama": (1, 2, 0, True, False),
    "gpt2": (None, None, None, False, False),
    "gemma4": (None, None, None, True, False),
    "bert": (101, None, 100, True, True),
    "t5": (None, 1, 2, False, True),
    "rwkv": (None, None, None, False, False),
}
# Phi-3's special tokens swallow the white space after them, except these. A GGUF file does not say so; like llama.cpp,
# this goes by the model's name.
_PHI3_KEEPS_SPACE = frozenset({"<unk>", "<s>", "<|endoftext|>"})

_MAX_TEMPLATES = 32


def gguf_tokenizer(metadata: Mapping[str, Any], source: str, rows: int | None = None) -> TokenizerSpec | None:
    """The tokenizer of a GGUF file; None where it has none.

    Args:
        metadata: the key-value pairs of the file.
        source: its name, for messages.
        rows: of the model's embedding, where it has one.

    Raises:
        CorruptFile: vocabulary, scores, types or merges contradict each other.
        Unsupported: a kind of tokenizer or pre-tokenizer that Hearth does not know.
    """
    return _GgufVocabulary(metadata, source).spec(rows) if _kind(metadata) else None


def _kind(metadata: Mapping[str, Any]) -> str | None:
    kind = metadata.get("tokenizer.ggml.model")
    return kind if isinstance(kind, str) and kind not in ("", "none", "no_vocab") else None


class _GgufVocabulary:
    def __init__(self, metadata: Mapping[str, Any], source: str) -> None:
        self.metadata = metadata
        self.source = source
        self.kind = _kind(metadata) or ""
        if self.kind not in _DEFAULTS:
            raise Unsupported(
                f"{source} has a tokenizer of the kind {self.kind[:80]!r} (tokenizer.ggml.model).",
                why=f"Known: {', '.join(_DEFAULTS)}.",
                hint="Use the original model folder with its tokenizer.json.",
            )
        self.pieces = self._read_pieces()
        self.notices: list[str] = []

    def spec(self, rows: int | None) -> TokenizerSpec:
        bos, eos, unk, add_bos, add_eos = _DEFAULTS[self.kind]
        bos, eos, unk = self._id("bos", bos), self._id("eos", eos), self._id("unknown", unk)
        if self.kind == "bert":  # a text stands between [CLS] and [SEP]
            bos, eos = self._id("cls", bos), self._id("seperator", 102)
        pad = self._id("padding", None)
        ends = end_ids(self.metadata, self.pieces, eos)
        for number in (*ends, bos):
            if number is not None:
                self._mark_special(number)
        builders = {
            "llama": self._spm_bpe,
            "t5": self._unigram,
            "gpt2": self._byte_level,
            "gemma4": self._gemma4,
            "bert": self._wordpiece,
            "rwkv": self._world,
        }
        spaces_escaped = self.kind == "gpt2" and self.metadata.get("tokenizer.ggml.pre") in SPACES_ESCAPED
        text = to_json((self._gemma4 if spaces_escaped else builders[self.kind])(unk))
        tokenizer = load_tokenizer(text, self.source)
        if self.kind == "gpt2" and not spaces_escaped:
            add_bos = self.pre_tokenizer.add_bos
        add_bos = self.kind == "gemma4" or self._flag("add_bos_token", add_bos)
        templates = self._chat_templates()
        named = {"bos_token": bos, "eos_token": eos, "unk_token": unk, "pad_token": pad}
        named |= {f"{name}_token": self._id(name, None) for name in ("cls", "mask")}
        named["sep_token"] = self._id("seperator", None)
        spec = TokenizerSpec(
            json=text,
            bos_id=bos,
            eos_ids=ends,
            add_bos=add_bos and bos is not None,
            add_eos=self._flag("add_eos_token", add_eos) and eos is not None,
            special={name: self.pieces[number].text for name, number in named.items() if number is not None},
            chat_template=templates.pop("default", None),
            named_templates=templates,
            notices=tuple(self.notices),
        )
        return spec if rows is None else fit_to_rows(spec, tokenizer, rows, self.source)

    def _chat_templates(self) -> dict[str, str]:
        """By name; `tokenizer.chat_template` is the default one, `tokenizer.chat_template.NAME` a further one."""
        prefix = "tokenizer.chat_template"
        keys = [key for key in self.metadata if key == prefix or key.startswith(f"{prefix}.")][:_MAX_TEMPLATES]
        named = {key[len(prefix) + 1 :] or "default": self.metadata[key] for key in sorted(keys, reverse=True)}
        return {name: text for name, text in named.items() if isinstance(text, str)}

    def _mark_special(self, number: int) -> None:
        """Some files call a special token an ordinary one, or give no types at all. Its brackets give it away."""
        piece = self.pieces[number]
        if piece.kind == Kind.NORMAL and piece.text[0] in "<[" and piece.text[-1] in ">]":
            self.pieces[number] = piece._replace(kind=Kind.CONTROL)

    # What the metadata say

    def _read_pieces(self) -> list[Piece]:
        texts = self._list("tokens", str)
        if texts is None:
            raise self._corrupt("tokenizer.ggml.tokens is missing")
        scores = self._list("scores", float, int)
        kinds = self._list("token_type", int)
        if scores is None and self.kind in ("llama", "t5"):
            raise self._corrupt("tokenizer.ggml.scores is missing")
        for name, values in (("scores", scores), ("token_type", kinds)):
            if values is not None and len(values) < len(texts):
                raise self._corrupt(f"{len(texts):,} tokens, but {len(values):,} {name}")
        known = frozenset(Kind)
        return [
            Piece(
                text or f"[EMPTY_{number}]",  # llama.cpp's name for a token without text
                float(scores[number]) if scores else 0.0,
                Kind(kinds[number]) if kinds and kinds[number] in known else Kind.NORMAL,
            )
            for number, text in enumerate(texts)
        ]

    def _list(self, name: str, *types: type) -> list[Any] | None:
        values = self.metadata.get(f"tokenizer.ggml.{name}")
        if values is None:
            return None
        if not isinstance(values, list) or (values and type(values[0]) not in types):
            raise self._corrupt(f"tokenizer.ggml.{name} has the wrong type")
        return values

    def _id(self, name: str, default: int | None) -> int | None:
        number = self.metadata.get(f"tokenizer.ggml.{name}_token_id")
        for candidate in (number, default):  # files write 2^32 - 1 for "none"
            if type(candidate) is int and 0 <= candidate < len(self.pieces):
                return candidate
        return None

    def _flag(self, name: str, default: bool) -> bool:
        value = self.metadata.get(f"tokenizer.ggml.{name}")
        return value if isinstance(value, bool) else default

    @cached_property
    def pre_tokenizer(self) -> PreTokenizer:
        pre = self.metadata.get("tokenizer.ggml.pre")
        if not isinstance(pre, str) or not pre:
            self.notices.append(
                f"{self.source} does not say how its tokenizer cuts text into words (tokenizer.ggml.pre); the default "
                "way may cost quality. A newer conversion of the model says it."
            )
            pre = "default"
        if pre not in PRE_TOKENIZERS:
            raise Unsupported(
                f"{self.source} needs the pre-tokenizer {pre[:80]!r} (tokenizer.ggml.pre).",
                why=f"Known: {', '.join(sorted(PRE_TOKENIZERS))}.",
                hint="Use the original model folder with its tokenizer.json, or look for a newer Hearth.",
            )
        return PRE_TOKENIZERS[pre]

    def _corrupt(self, why: str) -> CorruptFile:
        return CorruptFile(f"The tokenizer in {self.source} is damaged.", why=f"{why}.", hint=PULL_AGAIN)

    def _merges(self, vocab: Mapping[str, int]) -> list[tuple[str, str]]:
        merges = self._list("merges", str)
        if merges is None:
            raise self._corrupt("tokenizer.ggml.merges is missing")
        result: dict[tuple[str, str], None] = {}  # a merge that stands twice counts where it stands first
        for merge in merges:
            # The first part may itself begin with a space.
            cut = merge.find(" ", 1)
            left, right = merge[:cut], merge[cut + 1 :]
            if cut < 0 or left not in vocab or right not in vocab or left + right not in vocab:
                raise self._corrupt(f"the merge {merge[:80]!r} names a token that is not in the vocabulary")
            result.setdefault((left, right))
        return list(result)

    def _added_tokens(self) -> list[dict[str, Any]]:
        strip = self._strip_right()
        return [
            added_token(number, piece.text, special=piece.kind != Kind.USER_DEFINED, rstrip=number in strip)
            for number, piece in enumerate(self.pieces)
            if piece.kind in (Kind.CONTROL, Kind.USER_DEFINED, Kind.UNKNOWN)
        ]

    def _strip_right(self) -> frozenset[int]:
        name = str(self.metadata.get("general.name", "")).lower()
        if "phi-3" not in name and "phi3" not in name:
            return frozenset()
        special = (Kind.CONTROL, Kind.USER_DEFINED, Kind.UNKNOWN)
        return frozenset(
            number
            for number, piece in enumerate(self.pieces)
            if piece.kind in special and piece.text not in _PHI3_KEEPS_SPACE
        )

    # One builder for each kind: unknown id in, tokenizer.json out

    def _spm_bpe(self, unk: int | None) -> dict[str, Any]:
        model = SpmModel(
            self.pieces,
            "bpe",
            byte_fallback=any(piece.kind == Kind.BYTE for piece in self.pieces),
            add_dummy_prefix=self._flag("add_space_prefix", True),
            unknown=unk,
            strip_right=self._strip_right(),
        )
        return spm_document(model, self.source)

    def _unigram(self, unk: int | None) -> dict[str, Any]:
        charsmap = self._list("precompiled_charsmap", int) or []
        model = SpmModel(
            self.pieces,
            "unigram",
            byte_fallback=any(piece.kind == Kind.BYTE for piece in self.pieces),
            add_dummy_prefix=self._flag("add_space_prefix", False),
            unknown=unk,
            remove_extra_whitespaces=self._flag("remove_extra_whitespaces", False),
            charsmap=np.array(charsmap, dtype=np.int64).astype(np.uint8).tobytes(),  # int8 in some files
        )
        return spm_document(model, self.source)

    def _byte_level(self, unk: int | None) -> dict[str, Any]:
        check_pieces(self.pieces, self.source)
        vocab = {piece.text: number for number, piece in enumerate(self.pieces)}
        return byte_level_document(vocab, self._merges(vocab), self.pre_tokenizer, self._added_tokens())

    def _gemma4(self, unk: int | None) -> dict[str, Any]:
        check_pieces(self.pieces, self.source)
        vocab = {piece.text: number for number, piece in enumerate(self.pieces)}
        space = {"String": "▁"}
        return document(
            {
                "type": "BPE",
                "unk_token": None if unk is None else self.pieces[unk].text,
                "fuse_unk": True,
                "byte_fallback": True,
                "ignore_merges": False,
                "vocab": vocab,
                "merges": self._merges(vocab),
            },
            added_tokens=self._added_tokens(),
            normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            pre_tokenizer={"type": "Split", "pattern": {"Regex": r"\n+"}, "behavior": "Isolated", "invert": False},
            decoder={
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": space, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                ],
            },
        )

    def _wordpiece(self, unk: int | None) -> dict[str, Any]:
        if unk is None:
            raise self._corrupt("it names no unknown token")
        check_pieces(self.pieces, self.source)
        lowercase = self._flag("normalizer.lowercase", True)
        return wordpiece_document(
            self.pieces,
            unk,
            lowercase=lowercase,
            strip_accents=self._flag("normalizer.strip_accents", lowercase),
            added_tokens=self._added_tokens(),
        )

    def _world(self, unk: int | None) -> dict[str, Any]:
        pieces = enumerate(self.pieces)
        tokens = {number: unescaped(piece.text) for number, piece in pieces if piece.kind == Kind.NORMAL}
        return world_document(tokens, self._added_tokens(), self.source)
