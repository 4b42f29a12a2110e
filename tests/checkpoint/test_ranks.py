"""Lists of ranks (tiktoken's files) become the tokenizer that the authors' Python would make of them."""

from __future__ import annotations

import base64
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint import TokenizerSpec, open_checkpoint
from hearth.checkpoint.tokenizer.ranks import read_ranks
from hearth.errors import CorruptFile, Unsupported

from .builders import model_folder

WORDS = [bytes([value]) for value in range(256)]
WORDS += [
    b"th",
    b"the",
    b" the",
    b" t",
    b"in",
    b"ing",
    b"\xe4\xb8",
    b"\xe4\xb8\xad",
    b"12",
    b"123",
    b"  ",
    b"\n\n",
    b"e\xcc\x81",
]
SPECIAL = {
    "added_tokens_decoder": {
        str(len(WORDS)): {"content": "[BOS]", "special": True},
        str(len(WORDS) + 1): {"content": "<tool>", "special": False},
    }
}


def ranks(words: list[bytes]) -> bytes:
    return b"".join(b"%s %d\n" % (base64.b64encode(word), rank) for rank, word in enumerate(words))


def spec_of(path: Path, name: str, data: bytes, **config: Any) -> TokenizerSpec:
    folder = model_folder(path, tokenizer_config__json=json.dumps(config))
    (folder / name).write_bytes(data)
    spec = open_checkpoint(folder).tokenizer()
    assert spec is not None
    return spec


@dataclass(frozen=True)
class Published:
    """A tokenizer class and what its Python says.

    Attributes:
        pattern: its `pat_str`.
        nfc: it normalises texts so first.
        ids: of TEXT, by tiktoken 0.14 with this pattern and WORDS.
    """

    file: str
    pattern: str
    nfc: bool
    ids: tuple[int, ...]


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_CL100K = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_QWEN = _CL100K.replace("{1,3}", "")
_KIMI = (
    rf"[\p{{Han}}]+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
# What all of them make of the first words, and of the last.
_BEGIN, _END = (257, 32, 256, 261, 258, 263, 230, 150, 135, 257, 32), (32, 84, 72, 69, 257, 39, 115, 32, 269, 270)
_SINGLE = (*_BEGIN, 49, 50, 51, 52, 53, 266, 32, 120, 267, 195, 169, *_END)
TEXT = "the thing the\u4e2d\u6587the 12345   x\n\ne\u0301 THEthe's [BOS]<tool>"
CLASSES = {
    "TikTokenTokenizer": Published(
        "tiktoken.model", _KIMI, False, (*_BEGIN, 265, 52, 53, 266, 32, 120, 267, 268, *_END)
    ),
    "QWenTokenizer": Published("qwen.tiktoken", _QWEN, True, _SINGLE),
    "ChatGLM4Tokenizer": Published(
        "tokenizer.model", _CL100K, False, (*_BEGIN, 265, 52, 53, 266, 32, 120, 267, 101, 204, 129, *_END)
    ),
    "Arcade100kTokenizer": Published("arcade100k.tiktoken", _QWEN, True, _SINGLE),
    "HYTokenizer": Published("hy.tiktoken", _QWEN, True, _SINGLE),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_is_known_by_name_is_read_as_its_python_does(name: str, tmp_path: Path) -> None:
    published = CLASSES[name]
    spec = spec_of(tmp_path, published.file, ranks(WORDS), tokenizer_class=name, **SPECIAL)
    tokenizer = Tokenizer(spec)
    assert tokenizer.encode(TEXT, parse_special=True, add_special=False) == list(published.ids)
    assert tokenizer.decode(list(published.ids), skip_special=False) == (
        unicodedata.normalize("NFC", TEXT) if published.nfc else TEXT
    )
    assert not spec.add_bos


def test_special_tokens_that_nothing_names_have_those_of_the_family(tmp_path: Path) -> None:
    kimi = Tokenizer(
        spec_of(tmp_path / "a", "tiktoken.model", ranks(WORDS), tokenizer_class="TikTokenTokenizer", **SPECIAL)
    )
    first = len(WORDS)
    assert [kimi.id_of(text) for text in ("[BOS]", "<tool>", f"<|reserved_token_{first + 2}|>")] == [
        first,
        first + 1,
        first + 2,
    ]
    assert kimi.vocab_size == first + 256
    qwen = spec_of(tmp_path / "b", "qwen.tiktoken", ranks(WORDS), tokenizer_class="QWenTokenizer")
    assert Tokenizer(qwen).id_of("<|extra_204|>") == first + 207
    assert set(qwen.eos_ids) == {first, first + 2}


def test_what_nothing_here_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="OtherTokenizer"):
        spec_of(tmp_path / "a", "other.tiktoken", ranks(WORDS), tokenizer_class="OtherTokenizer", **SPECIAL)
    with pytest.raises(Unsupported, match="nothing names"):
        spec_of(tmp_path / "b", "other.tiktoken", ranks(WORDS), **SPECIAL)
    with pytest.raises(Unsupported, match="special tokens"):
        spec_of(tmp_path / "c", "arcade100k.tiktoken", ranks(WORDS), tokenizer_class="Arcade100kTokenizer")


@pytest.mark.parametrize(
    "data",
    [b"", b"YQ== 1\n", b"YQ== 0\n? 1\n", b"YQ== 0\nYQ== 1\n", ranks(WORDS) + b"W0JPU10= 269\n", b"\x0a\x05hello"],
)
def test_damaged_lists_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CorruptFile):
        spec_of(tmp_path, "tiktoken.model", data, tokenizer_class="TikTokenTokenizer", **SPECIAL)


@pytest.mark.reference
@pytest.mark.parametrize("name", CLASSES)
def test_ids_are_tiktokens(name: str, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ranks: Llama 3's 128,000."""
    tiktoken = pytest.importorskip("tiktoken")
    published = CLASSES[name]
    data = (shared_data / "tokenizers/llama3.tokenizer.model").read_bytes()
    words = read_ranks(data, "llama3")
    encoding = tiktoken.Encoding(
        name,
        pat_str=published.pattern,
        mergeable_ranks={token: rank for rank, token in enumerate(words)},
        special_tokens={},
    )
    special = {"added_tokens_decoder": {"128000": {"content": "<|none|>", "special": True}}}
    folder = tmp_path_factory.mktemp("ranks")
    tokenizer = Tokenizer(spec_of(folder, published.file, data, tokenizer_class=name, **special))
    letters = st.characters(exclude_categories=["Cs"])
    written = st.lists(
        st.text(letters, max_size=6)
        | st.sampled_from(
            ["the ", "'S", "  ", "\\n", "\\r\\n", "\u4e2d\u6587", "1234", "e\u0301", " \u00a0", "\U0001f642", "\u0130"]
        ),
        max_size=12,
    ).map("".join)

    @settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
    @given(text=written)
    def agree(text: str) -> None:
        wanted = unicodedata.normalize("NFC", text) if published.nfc else text
        assert tokenizer.encode(text, add_special=False) == encoding.encode(wanted, disallowed_special=())

    agree()
