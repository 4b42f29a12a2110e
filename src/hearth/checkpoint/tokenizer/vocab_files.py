"""The files of tokenizers from before tokenizer.json: `vocab.json` with `merges.txt`, SentencePiece, and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import MAX_TOKENIZER_BYTES, PULL_AGAIN, cannot_read, read_json_object, read_text
from hearth.checkpoint.tokenizer.byte_level import byte_level_document
from hearth.checkpoint.tokenizer.pretokenizers import PRE_TOKENIZERS, PreTokenizer
from hearth.checkpoint.tokenizer.ranks import convert_ranks, llama3_or_named, looks_like_ranks, rank_kind
from hearth.checkpoint.tokenizer.sentencepiece_model import read_sentencepiece
from hearth.checkpoint.tokenizer.spec import Added, Converted, added_token, to_json
from hearth.checkpoint.tokenizer.spm import spm_document
from hearth.checkpoint.tokenizer.spm_classes import arranged, post_processor, spm_class
from hearth.errors import CorruptFile, Unsupported


@dataclass(frozen=True)
class _Class:
    """What a tokenizer class of transformers does beside merging.

    Attributes:
        pre_tokenizer: how text is cut into words.
        normalizer: applied first.
        names: named special tokens that it assumes, where its vocabulary has them.
    """

    pre_tokenizer: PreTokenizer
    normalizer: Mapping[str, Any] | None
    names: Sequence[str]


_END_OF_TEXT = "<|endoftext|>"
_GPT2 = _Class(PRE_TOKENIZERS["gpt-2"], None, ("bos_token", "eos_token", "unk_token"))
_QWEN2 = _Class(PRE_TOKENIZERS["qwen2"], {"type": "NFC"}, ("eos_token", "unk_token", "pad_token"))
# By `tokenizer_class`, without the "Fast" that it may end in.
_CLASSES: Mapping[str, _Class] = {"GPT2Tokenizer": _GPT2, "Qwen2Tokenizer": _QWEN2}
_BY_MODEL_TYPE: Mapping[str, _Class] = {"qwen2": _QWEN2, "qwen3": _QWEN2}
# Classes that say nothing: the files are read as GPT-2's, which brought this pair of files up.
_SAYS_NOTHING = frozenset({"", "PreTrainedTokenizer", "TokenizersBackend"})


def convert_vocab_and_merges(
    vocab_path: Path, merges_path: Path, model_type: str, settings: Mapping[str, Any], added: Sequence[Added]
) -> Converted:
    """Byte-level BPE from `vocab.json` and `merges.txt`.

    Args:
        model_type: of config.json, for folders whose settings do not name a tokenizer class.
        settings: content of tokenizer_config.json.
        added: tokens that the authors added.

    Raises:
        CorruptFile: the files are damaged or contradict each other.
        Unsupported: a tokenizer class whose way to cut text Hearth does not know.
        StorageError: a file cannot be opened.
    """
    vocab = read_json_object(vocab_path, MAX_TOKENIZER_BYTES)
    if not vocab or not all(type(number) is int and 0 <= number < 1 << 31 for number in vocab.values()):
        raise CorruptFile(f"{vocab_path.name} does not give each token an id.", hint=PULL_AGAIN)
    kind, notices = _class_of(model_type, settings, str(vocab_path.parent))
    merges = _read_merges(merges_path, vocab)
    ids: dict[str, int] = vocab | {text: number for number, text, _ in added}
    if len(set(ids.values())) != len(ids):
        raise CorruptFile(
            f"{vocab_path.name} and the added tokens beside it give an id to two tokens.", hint=PULL_AGAIN
        )
    special = {name: _END_OF_TEXT for name in kind.names if _END_OF_TEXT in ids}
    entries = {text: added_token(number, text, special=flag) for number, text, flag in added}
    if special and _END_OF_TEXT not in entries:
        entries[_END_OF_TEXT] = added_token(ids[_END_OF_TEXT], _END_OF_TEXT, special=True)
    by_id = sorted(entries.values(), key=lambda entry: int(entry["id"]))
    document = byte_level_document(ids, merges, kind.pre_tokenizer, by_id)
    document["normalizer"] = kind.normalizer
    return Converted(to_json(document), special, notices=notices)


def _class_of(model_type: str, settings: Mapping[str, Any], source: str) -> tuple[_Class, tuple[str, ...]]:
    named = settings.get("tokenizer_class")
    name = named.removesuffix("Fast") if isinstance(named, str) else ""
    if name in _CLASSES:
        return _CLASSES[name], ()
    if name not in _SAYS_NOTHING:
        raise Unsupported(
            f"{source} has a {name[:80]} as vocab.json and merges.txt.",
            why=f"How it cuts a text into words is not in these files. Known: {', '.join(_CLASSES)}.",
            hint="Look for the same model with a tokenizer.json, or as a GGUF file.",
        )
    if model_type in _BY_MODEL_TYPE:
        return _BY_MODEL_TYPE[model_type], ()
    return _GPT2, (
        "The tokenizer's files do not say how it cuts text into words (tokenizer_class in tokenizer_config.json); "
        "GPT-2's way is taken. A tokenizer.json says it.",
    )


def _read_merges(path: Path, vocab: Mapping[str, int]) -> list[tuple[str, str]]:
    merges: dict[tuple[str, str], None] = {}
    for number, line in enumerate(read_text(path, MAX_TOKENIZER_BYTES).split("\n")):
        line = line.removesuffix("\r")
        if not line or line.startswith("#version"):
            continue
        left, _, right = line.partition(" ")
        if left not in vocab or right not in vocab or left + right not in vocab:
            raise CorruptFile(
                f"{path.name}, line {number + 1}: the merge {line[:80]!r} names a token that is not in the vocabulary.",
                hint=PULL_AGAIN,
            )
        merges.setdefault((left, right))
    return list(merges)


def convert_rank_file(path: Path, model_type: str, settings: Mapping[str, Any], added: Sequence[Added]) -> Converted:
    """`tiktoken.model` and `*.tiktoken`: a list of ranks.

    Args:
        model_type: of config.json, for folders whose settings do not name a tokenizer class.
        settings: content of tokenizer_config.json.
        added: tokens that the authors added.

    Raises:
        CorruptFile: damaged, or it contradicts the added tokens.
        Unsupported: a tokenizer class whose way to cut text Hearth does not know.
        StorageError: the file cannot be opened.
    """
    return convert_ranks(_content(path), rank_kind(settings, model_type, path.name), added, path.name)


def convert_tokenizer_model(
    path: Path, model_type: str, settings: Mapping[str, Any], added: Sequence[Added]
) -> Converted:
    """`tokenizer.model`, `spiece.model`, `sentencepiece.bpe.model`: a SentencePiece model, with the ids of its class;
    or a list of ranks: Llama 3's where the settings name no other class.

    Args:
        model_type: of config.json, for folders whose settings do not name a tokenizer class.
        settings: content of tokenizer_config.json.
        added: tokens that the authors added.

    Raises:
        CorruptFile: damaged, or it contradicts the added tokens or the class.
        Unsupported: a SentencePiece model of a kind that Hearth does not run, or a class whose ids it does not know.
        StorageError: the file cannot be opened.
    """
    data = _content(path)
    if looks_like_ranks(data):
        return convert_ranks(data, llama3_or_named(settings, named=bool(added)), added, path.name)
    model, bos_id, eos_id = read_sentencepiece(data, path.name)
    kind, notices = spm_class(settings, model_type, path.name)
    named_ids = (("bos_token", bos_id), ("eos_token", eos_id))
    special = {name: model.pieces[number].text for name, number in named_ids if number is not None}
    model = arranged(kind, model, settings, added, path.name)
    document = spm_document(model, path.name)
    ids = {piece.text: number for number, piece in enumerate(model.pieces)}
    ids |= {text: number for number, text, _ in model.extra}
    names = {name: text for name, text in (kind.names or special).items() if text in ids}
    document["post_processor"] = post_processor(kind, ids, path.name)
    return Converted(to_json(document), names, add_bos=bos_id is not None, notices=notices)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_TOKENIZER_BYTES:
            raise CorruptFile(f"{path.name} is too large for a tokenizer.", hint=PULL_AGAIN)
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error
