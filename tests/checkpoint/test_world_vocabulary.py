"""RWKV's vocabulary: the ids of its authors' program, from their file and from GGUF files; clear refusals."""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint import TokenizerSpec, open_checkpoint
from hearth.checkpoint.tokenizer.spec import to_json
from hearth.checkpoint.tokenizer.world import unescaped, world_document
from hearth.errors import CorruptFile

from .builders import I32, Typed, gguf_bytes, model_folder

NORMAL, CONTROL, UNUSED = 1, 3, 5
BYTES = [bytes([value]) for value in range(256)]

# Of rwkv 0.8.32 (PyPI), whose tokenizer walks a trie.
PUBLISHED = {
    "Hello, world!\n\nUser: hi": [33155, 45, 40213, 34, 261, 24281, 59, 4571],
    "def f(x):\n        return x**2  # ünïcödé": [
        7334, 337, 41, 121, 501, 54807, 42178, 355, 520, 51, 267, 36, 4984, 111, 2509, 100, 9350, 2503
    ],
    "你好，世界。今日は🤗\U0001f469\u200d\U0001f680": [
        10464, 11685, 19137, 10267, 14610, 10080, 10381, 13053, 10139, 3319, 165, 152, 3319, 146, 170, 9810, 3319, 155,
        129,
    ],
    "  \t\x00\x7f\n\n\n ########": [267, 10, 1, 128, 19240, 53394],
    "<s>[INST]": [61, 116, 793, 23767, 94],
    " " * 200: [65529, 65522],
}  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary(shared_data: Path) -> Path:
    return shared_data / "tokenizers" / "rwkv_vocab_v20230424.txt"


def folder_spec(tmp_path: Path, text: str, **settings: Any) -> TokenizerSpec:
    folder = model_folder(tmp_path, tokenizer_config__json=to_json(settings))
    (folder / "rwkv_vocab_v20230424.txt").write_text(text, encoding="utf-8")
    spec = open_checkpoint(folder).tokenizer()
    assert spec is not None
    return spec


def gguf_metadata(tokens: list[str], kinds: list[int], **more: Any) -> dict[str, Any]:
    metadata = {"model": "rwkv", "tokens": tokens, "token_type": Typed(I32, kinds), "bos_token_id": 0, **more}
    return {f"tokenizer.ggml.{name}": value for name, value in metadata.items()}


def gguf_spec(tmp_path: Path, metadata: dict[str, Any]) -> TokenizerSpec:
    path = tmp_path / "world.gguf"
    path.write_bytes(gguf_bytes(metadata))
    spec = open_checkpoint(path).tokenizer()
    assert spec is not None
    return spec


def lines(tokens: list[bytes]) -> str:
    return "".join(f"{number + 1} {token!r} {len(token)}\n" for number, token in enumerate(tokens))


def test_ids_of_the_published_vocabulary(vocabulary: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer(folder_spec(tmp_path, vocabulary.read_text(encoding="utf-8"), eos_token="\n\n"))
    for text, ids in PUBLISHED.items():
        assert tokenizer.encode(text) == ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.eos_ids == {0, 261}


def test_a_text_cannot_write_the_token_that_ends_it(vocabulary: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer(folder_spec(tmp_path, vocabulary.read_text(encoding="utf-8")))
    end = "<|rwkv_tokenizer_end_of_text|>"
    assert tokenizer.encode(end, parse_special=True) == [0]
    ids = tokenizer.encode(f"a {end} b")
    assert 0 not in ids
    assert tokenizer.decode(ids) == f"a {end} b"


def test_gguf_files_have_the_same_vocabulary(vocabulary: Path, tmp_path: Path) -> None:
    tokens, kinds = ["<s>"], [CONTROL]
    for line in vocabulary.read_text(encoding="utf-8").splitlines():
        token = ast.literal_eval(line.split(" ", 1)[1].rpartition(" ")[0])
        tokens.append(repr(token.encode() if isinstance(token, str) else token)[2:-1])
        kinds.append(NORMAL)
    metadata = gguf_metadata([*tokens, "[PAD65530]"], [*kinds, UNUSED], eos_token_id=0, eot_token_id=261)
    spec = gguf_spec(tmp_path, {**metadata, "tokenizer.chat_template": "rwkv-world"})
    tokenizer = Tokenizer(spec)
    for text, ids in PUBLISHED.items():
        assert tokenizer.encode(text) == ids
    # The end of an answer, which is text elsewhere.
    assert (spec.eos_ids, spec.add_bos) == ((0, 261), False)
    assert tokenizer.decode([33155, 261, 24281]) == "Hello\n\nUser"
    assert tokenizer.decode([33155, 0, 65530]) == "Hello"


def test_the_longest_token_is_taken_from_left_to_right() -> None:
    """Random vocabularies and texts, against the definition."""
    rng = random.Random(5)
    for _ in range(40):
        words = {bytes(rng.choices(b"ab.\\[ \xc3\xa9", k=rng.randint(2, 6))) for _ in range(30)}
        tokens = dict(enumerate([*BYTES, *sorted(words)]))
        ids = {token: number for number, token in tokens.items()}
        library = Library.from_str(to_json(world_document(tokens, [], "test")))
        text = "".join(rng.choices("ab.\\[ é", k=60))
        data, at, expected = text.encode(), 0, []
        while at < len(data):
            longest = max((token for token in ids if data.startswith(token, at)), key=len)
            expected.append(ids[longest])
            at += len(longest)
        assert library.encode(text, add_special_tokens=False).ids == expected


def test_a_stream_never_splits_a_character() -> None:
    tokens = dict(enumerate([*BYTES, "🤗".encode()[:3], "é".encode()]))
    document = to_json(world_document(tokens, [], "test"))
    tokenizer = Tokenizer(
        TokenizerSpec(document, None, (), add_bos=False, add_eos=False, special={}, chat_template=None)
    )
    text = "aé🤗b"
    stream = tokenizer.stream()
    parts = [stream.push(token) for token in tokenizer.encode(text)]
    assert parts == ["a", "é", "", "🤗", "b"]


def test_tokens_that_begin_each_other_for_as_long_as_they_may_be() -> None:
    tokens = dict(enumerate([*BYTES, *(b"a" * length for length in range(2, 257))]))
    library = Library.from_str(to_json(world_document(tokens, [], "test")))
    assert library.encode("a" * 1000, add_special_tokens=False).ids == [510, 510, 510, 486]


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ([*BYTES, b"ab", b"ab"], "Entry 257.*there twice"),
        ([*BYTES, b"a" * 257], "Entry 256.*too long"),
        ([*BYTES, b""], "Entry 256.*empty"),
        (BYTES[:-1], "No token is the byte 255"),
    ],
)
def test_an_unsound_vocabulary_is_refused(tokens: list[bytes], says: str) -> None:
    with pytest.raises(CorruptFile, match=says):
        world_document(dict(enumerate(tokens)), [], "model.gguf")


@pytest.mark.parametrize(
    "line", ["x b'a' 1", "300 b'a'", "300 b'ab' 3", "300 ab 2", "300 [1,2] 2", f"300 {'(' * 200} 2", "300 1 1"]
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(CorruptFile, match=r"txt, line 257: not an id, a token and its size"):
        folder_spec(tmp_path, lines(BYTES) + line)


@pytest.mark.parametrize(
    ("spelled", "token"),
    [
        ("\\x00\\xff", b"\x00\xff"),
        ("\\t\\n\\r\\\\\\'\"", b"\t\n\r\\'\""),
        ("a\\\\x41", b"a\\x41"),
        ("é", "é".encode()),
    ],
)
def test_tokens_are_spelled_as_python_writes_bytes(spelled: str, token: bytes) -> None:
    assert unescaped(spelled) == token
