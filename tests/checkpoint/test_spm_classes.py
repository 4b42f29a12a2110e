"""Folders with `spiece.model` or `sentencepiece.bpe.model`: pieces as SentencePiece has them, ids as the class does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint import TokenizerSpec, open_checkpoint
from hearth.errors import CorruptFile, Unsupported
from hearth.hub.files import RemoteFile, select

from .builders import SPECIAL_PIECES, model_folder, sentencepiece_bytes
from .test_spm import ODD_TEXTS, random_texts

BPE, SPIECE = "sentencepiece.bpe.model", "spiece.model"
PIECES = [*SPECIAL_PIECES, ("▁a", -1.0, 1), ("a", -2.0, 1), ("▁", -3.0, 1)]
# T5's: no beginning of a text.
T5_PIECES = [("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2), *PIECES[3:]]
XLM_R = {"tokenizer_class": "XLMRobertaTokenizer"}
T5 = {"tokenizer_class": "T5Tokenizer"}
Ids = Callable[[Sequence[int]], list[int]]


def spec_of(path: Path, name: str, data: bytes, settings: Any = None, model_type: str = "llama") -> TokenizerSpec:
    files = {} if settings is None else {"tokenizer_config.json": json.dumps(settings)}
    config = json.dumps({"model_type": model_type, "hidden_size": 3})
    spec = open_checkpoint(model_folder(path, **{name: data, "config.json": config, **files})).tokenizer()
    assert spec is not None
    return spec


def unigram(pieces: Sequence[tuple[str, float, int]]) -> bytes:
    return sentencepiece_bytes(pieces, model_type=1)


def fairseq(ids: Sequence[int]) -> list[int]:
    return [0, *(number + 1 if number else 3 for number in ids), 2]


@pytest.mark.parametrize("settings", [XLM_R, {"tokenizer_class": "XLMRobertaTokenizerFast"}, None])
def test_xlm_roberta_counts_as_fairseq(tmp_path: Path, settings: Any) -> None:
    spec = spec_of(tmp_path, BPE, unigram(PIECES), settings, "xlm-roberta")
    tokenizer = Tokenizer(spec)
    assert tokenizer.encode("a é", add_special=True) == [0, 4, 6, 3, 2]
    assert (spec.bos_id, spec.eos_ids, spec.added_by_json, spec.notices) == (0, (2,), True, ())
    assert [tokenizer.token_text(number) for number in (0, 1, 2, 3, 7)] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert spec.special["mask_token"] == "<mask>"


def test_t5_ends_its_texts_and_has_extra_ids(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, SPIECE, unigram(T5_PIECES), T5 | {"extra_ids": 2})
    tokenizer = Tokenizer(spec)
    assert tokenizer.encode("a", add_special=True) == [3, 1]
    assert (spec.bos_id, spec.eos_ids) == (None, (1,))
    assert [tokenizer.token_text(number) for number in (6, 7)] == ["<extra_id_1>", "<extra_id_0>"]


def test_ids_of_the_piece_file_where_no_class_is_named_come_with_a_notice(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, SPIECE, unigram(PIECES))
    assert Tokenizer(spec).encode("a", add_special=False) == [3]
    assert "tokenizer_class" in spec.notices[0]


def test_a_class_with_other_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"CamembertTokenizer whose vocabulary is a sentencepiece\.bpe\.model"):
        spec_of(tmp_path, BPE, unigram(PIECES), {"tokenizer_class": "CamembertTokenizer"})


@pytest.mark.parametrize(
    ("pieces", "settings", "says"),
    [
        (T5_PIECES, XLM_R, "begins with <unk>, <s> and </s>"),
        (PIECES[:1], XLM_R, "begins with <unk>, <s> and </s>"),
        ([*PIECES, ("<mask>", 0.0, 4)], XLM_R, "are the same"),
        ([PIECES[0], *PIECES[3:]], T5, "lacks </s>"),
    ],
)
def test_a_vocabulary_that_is_not_its_class_s_is_refused(tmp_path: Path, pieces: Any, settings: Any, says: str) -> None:
    with pytest.raises(CorruptFile, match=says):
        spec_of(tmp_path, BPE, unigram(pieces), settings)


@pytest.mark.parametrize("name", [BPE, SPIECE])
def test_these_files_are_downloaded(name: str) -> None:
    files = [RemoteFile(path, 9, "0" * 40, False) for path in ("config.json", "model.safetensors", name, "a.txt")]
    assert name in {file.path for file in select("a/b", files, None).files}


@pytest.mark.parametrize(
    ("name", "settings", "ids", "expected"),
    [
        pytest.param(BPE, XLM_R, {}, fairseq, id="xlm-r"),
        pytest.param(SPIECE, T5, {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}, lambda ids: [*ids, 1], id="t5"),
    ],
)
def test_texts_have_the_ids_that_sentencepiece_and_the_class_give(
    shared_data: Path, tmp_path: Path, name: str, settings: Any, ids: dict[str, int], expected: Ids
) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    lines = (shared_data / "text/tinyshakespeare.txt").read_text(encoding="utf-8").splitlines()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*lines[:4000], *["< / > _ | 0 1 2 3 4 5 6 7 8 9 x A F m a s k"] * 50]),
        model_prefix=str(tmp_path / "m"),
        vocab_size=900,
        model_type="unigram",
        character_coverage=1.0,
        minloglevel=2,
        num_threads=1,
        **ids,
    )
    data = (tmp_path / "m.model").read_bytes()
    reference = sentencepiece.SentencePieceProcessor(model_proto=data)
    tokenizer = Tokenizer(spec_of(tmp_path / "folder", name, data, settings))
    for text in [*ODD_TEXTS, *lines[4000:6000], *random_texts(200)]:
        if "\0" in text or "▁" in text:
            continue  # SentencePiece cuts at NUL, and reads U+2581 as a space where it normalises
        ours, theirs = list(tokenizer.encode(text, add_special=True)), expected(reference.encode(text))
        if ours != theirs:
            # SentencePiece adds scores in 32 bits: its rounding decides between equally good orders of equal pieces.
            ours, theirs = sorted(ours), sorted(theirs)
        assert ours == theirs, repr(text)
