"""SentencePiece vocabularies: the converted tokenizer takes the same steps as SentencePiece."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hearth.checkpoint.tokenizer.guard import load_tokenizer
from hearth.checkpoint.tokenizer.sentencepiece_model import read_sentencepiece
from hearth.checkpoint.tokenizer.spec import to_json
from hearth.checkpoint.tokenizer.spm import SpmModel, spm_document
from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece, merges_by_score
from hearth.errors import CorruptFile, HearthError, Unsupported

from .builders import BYTE_PIECES, SPECIAL_PIECES, proto_field, sentencepiece_bytes, spm_vocabulary

ODD_TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "\t\n \r\n",
    " leading and trailing  ",
    "a  b   c    d",
    "Hello, world! 你好世界 Привет мир नमस्ते สวัสดี שלום مرحبا",
    "naïve café e\u0301 Å ﬁ ① ｆｕｌｌ",
    "🦙👨‍👩‍👧‍👦🏳️‍🌈✅",
    "\u00a0\u200b\u200d\ufeff\u3000",
    "<s>hi</s><unk><0x0A>",
    "▁already▁escaped▁▁",
    "'''''```\"\"\"......!!!!!!??????",
    "1 12 123 1234 12345.67890",
    "for (int i = 0; i < n; ++i) {\n\t\tx[i] += 1;\n}\n",
    "\x00\x01\x7f",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 4,
]


def build(data: bytes) -> Tokenizer:
    model, _, _ = read_sentencepiece(data, "tokenizer.model")
    tokenizer = load_tokenizer(to_json(spm_document(model, "tokenizer.model")), "tokenizer.model")
    tokenizer.encode_special_tokens = True  # text that spells a control token is text, as for SentencePiece
    return tokenizer


def join_best_pairs(text: str, scores: Mapping[str, float]) -> list[str]:
    """What SentencePiece's BPE is defined to do, in the plainest way."""
    symbols = list(text)
    while True:
        pairs = [(scores[a + b], -i) for i, (a, b) in enumerate(itertools.pairwise(symbols)) if a + b in scores]
        if not pairs:
            return symbols
        at = -max(pairs)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


@settings(max_examples=300, deadline=None)
@given(
    words=st.lists(st.text("ab", min_size=2, max_size=7), min_size=1, max_size=20, unique=True),
    texts=st.lists(st.text("ab", min_size=1, max_size=24), min_size=1, max_size=10),
)
def test_merges_take_the_steps_that_scores_ask_for(words: list[str], texts: list[str]) -> None:
    scores = {word: -float(rank) for rank, word in enumerate([*words, "a", "b"])}
    pieces = [Piece(word, score, Kind.NORMAL) for word, score in scores.items()]
    model = SpmModel(pieces, "bpe", add_dummy_prefix=False)
    tokenizer = load_tokenizer(to_json(spm_document(model, "test")), "test")
    for text in texts:
        assert tokenizer.encode(text).tokens == join_best_pairs(text, scores)


def test_characters_outside_the_vocabulary_become_bytes_and_come_back() -> None:
    tokenizer = build(sentencepiece_bytes(spm_vocabulary("▁hi", "hi", "▁"), byte_fallback=True))
    assert tokenizer.encode("hi 🦙").tokens == ["▁hi", "▁", "<0xF0>", "<0x9F>", "<0xA6>", "<0x99>"]
    for text in ODD_TEXTS:
        if "▁" not in text:  # which is how a space is spelled
            assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_without_byte_fallback_a_run_of_unknown_characters_is_one_unknown() -> None:
    tokenizer = build(sentencepiece_bytes([*SPECIAL_PIECES, ("▁", -1.0, 1), ("a", -2.0, 1)]))
    assert tokenizer.encode("aXYa").tokens == ["▁", "a", "<unk>", "a"]


def test_user_defined_pieces_are_found_before_anything_is_merged() -> None:
    pieces = [(text, score, 4 if text == "b" else kind) for text, score, kind in spm_vocabulary("ab", "bc", "▁")]
    assert build(sentencepiece_bytes(pieces, byte_fallback=True, prefix=False)).encode("abc").tokens == ["a", "b", "c"]


def test_no_text_spells_a_control_token() -> None:
    pieces = [*spm_vocabulary("<s", "s>", "<", "s", ">"), ("▁", -50.0, 1)]
    tokenizer = build(sentencepiece_bytes(pieces, byte_fallback=True, prefix=False))
    assert tokenizer.encode("<s>").tokens == ["<s", ">"]


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        pytest.param(b"", CorruptFile, "no vocabulary", id="empty"),
        pytest.param(b"\x0a\xff\xff\xff\xff\x7f", CorruptFile, "bytes where", id="length past the end"),
        pytest.param(b"\xff" * 30, CorruptFile, "more than 10 bytes", id="endless number"),
        pytest.param(b"\x0b", CorruptFile, "wire type", id="wire type"),
        pytest.param(proto_field(1, 5), CorruptFile, "wrong type", id="a piece that is a number"),
        pytest.param(proto_field(1, proto_field(1, b"\xff")), CorruptFile, "utf-8", id="not UTF-8"),
        pytest.param(proto_field(1, proto_field(3, 77)), CorruptFile, "77", id="unknown kind"),
        pytest.param(sentencepiece_bytes([("a", 0.0, 1), ("a", 0.0, 1)]), CorruptFile, "are the same", id="twice"),
        pytest.param(sentencepiece_bytes([("a" * 5000, 0.0, 1)]), CorruptFile, "5,000 characters", id="endless piece"),
        pytest.param(sentencepiece_bytes([("a", float("nan"), 1)]), CorruptFile, "finite", id="no score"),
        pytest.param(
            sentencepiece_bytes([("a", 0.0, 1)], model_type=3), Unsupported, "BPE and unigram", id="word model"
        ),
        pytest.param(
            sentencepiece_bytes([*SPECIAL_PIECES, *BYTE_PIECES[:9]], byte_fallback=True),
            Unsupported,
            "bytes",
            id="bytes",
        ),
    ],
)
def test_an_unsound_model_is_refused(data: bytes, error: type[HearthError], says: str) -> None:
    with pytest.raises(error, match=says):
        build(data)


REAL = ["llama2", "mistral.v1", "mistral.v2", "mistral.v3"]


@pytest.mark.parametrize("name", [*REAL, "tok512"])
def test_real_models_encode_as_sentencepiece_does(shared_data: Path, name: str) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    path = shared_data / f"tokenizers/{name}.tokenizer.model"
    if name == "tok512":
        path = shared_data / "tinyllamas-stories260K/tok512.model"
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    tokenizer = build(path.read_bytes())
    wiki = (shared_data / "text/wiki.test.raw").read_text(encoding="utf-8").splitlines(keepends=True)
    for text in [*ODD_TEXTS, *random_texts(500), *wiki[::4], "".join(wiki[:40])]:
        ids = tokenizer.encode(text).ids
        assert ids == reference.encode(text), repr(text)
        assert tokenizer.decode(ids) == reference.decode(ids), repr(text)


TRAINED = {
    "unigram": {"model_type": "unigram", "character_coverage": 1.0},
    "unigram, bytes": {"model_type": "unigram", "byte_fallback": True, "character_coverage": 1.0},
    "unigram, as written": {
        "model_type": "unigram",
        "character_coverage": 1.0,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    },
    "bpe": {"model_type": "bpe", "character_coverage": 0.99},
    "bpe, user-defined": {
        "model_type": "bpe",
        "user_defined_symbols": ["<|im_start|>", "\n", "▁▁"],
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity",
        "byte_fallback": True,
    },
}


@pytest.mark.parametrize("options", TRAINED.values(), ids=TRAINED.keys())
def test_freshly_trained_models_encode_as_sentencepiece_does(shared_data: Path, tmp_path: Path, options: dict) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    lines = (shared_data / "text/tinyshakespeare.txt").read_text(encoding="utf-8").splitlines()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*lines[:4000], *["< / > _ | 0 1 2 3 4 5 6 7 8 9 x A F"] * 50]),
        model_prefix=str(tmp_path / "m"),
        vocab_size=900,
        minloglevel=2,
        num_threads=1,
        **options,
    )
    reference = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m.model"))
    tokenizer = build((tmp_path / "m.model").read_bytes())
    for text in [*ODD_TEXTS, *lines[4000:6000], *random_texts(200)]:
        if "\0" in text or "▁" in text:
            continue  # SentencePiece cuts at NUL, and reads U+2581 as a space where it normalises
        ids, expected = tokenizer.encode(text).ids, reference.encode(text)
        if options["model_type"] == "unigram" and ids != expected:
            # SentencePiece adds scores in 32 bits, so its rounding decides between equally good orders of equal pieces.
            ids, expected = sorted(ids), sorted(expected)
        assert ids == expected, repr(text)


def random_texts(count: int) -> list[str]:
    rng = random.Random(0)
    parts = [
        "a",
        "b",
        "the",
        " ",
        "  ",
        "\n",
        "\t",
        "é",
        "ß",
        "中",
        "文",
        "🦙",
        "<s>",
        "</s>",
        "123",
        "!!",
        "'s",
        "-",
        "=",
    ]
    return [
        "".join(rng.choice(parts) * rng.choice([1, 1, 2, 7]) for _ in range(rng.randint(1, 20))) for _ in range(count)
    ]


def test_a_vocabulary_of_long_entries_is_refused_before_it_costs_time() -> None:
    scores = {f"{number:04d}" + "a" * 1000: 0.0 for number in range(2000)}
    with pytest.raises(CorruptFile, match="too many long entries"):
        merges_by_score(scores, "tokenizer.model")


def test_a_normalisation_table_that_announces_too_much_is_refused() -> None:
    table = base64.b64encode(b"\xff\xff\xff\xff" + bytes(8)).decode()
    text = json.dumps({"normalizer": {"type": "Precompiled", "precompiled_charsmap": table}})
    with pytest.raises(CorruptFile, match="normalisation table"):
        load_tokenizer(text, "tokenizer.json")


REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


@pytest.mark.parametrize(
    ("part", "steps", "step", "count"),
    [("normalizer", "normalizers", REPLACE, 6), ("pre_tokenizer", "pretokenizers", BYTES, 30)],
)
def test_a_tokenizer_that_blows_texts_up_is_refused(part: str, steps: str, step: Any, count: int) -> None:
    document = json.loads(to_json(spm_document(SpmModel([Piece("a", 0.0, Kind.NORMAL)], "bpe"), "test")))
    document[part] = {"type": "Sequence", steps: [step]}
    load_tokenizer(json.dumps(document), "tokenizer.json")
    document[part] = {"type": "Sequence", steps: [step] * count}
    with pytest.raises(CorruptFile, match="characters of one"):
        load_tokenizer(json.dumps(document), "tokenizer.json")
