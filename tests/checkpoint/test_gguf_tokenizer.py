"""Vocabularies inside GGUF files: the same ids as llama.cpp, the right ends of an answer, clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.pre_tokenizers import Split

from hearth.checkpoint import TokenizerSpec, open_checkpoint
from hearth.checkpoint.tokenizer.pretokenizers import PRE_TOKENIZERS
from hearth.checkpoint.tokenizer.vocabulary import byte_level
from hearth.errors import CorruptFile, HearthError, Unsupported

from .builders import I32, U8, RawTensor, Typed, gguf_bytes, model_folder, spm_metadata, spm_vocabulary

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
CASE_SEPARATOR = "\n__ggml_vocab_test__\n"


def spec_of(tmp_path: Path, metadata: dict[str, Any]) -> TokenizerSpec:
    path = tmp_path / "vocab.gguf"
    path.write_bytes(gguf_bytes(metadata))
    spec = open_checkpoint(path).tokenizer()
    assert spec is not None
    return spec


def as_text(spec: TokenizerSpec) -> Tokenizer:
    """The tokenizer, taking text that spells a special token as text (llama.cpp's parse_special=false)."""
    tokenizer = Tokenizer.from_str(spec.json)
    tokenizer.encode_special_tokens = True
    return tokenizer


def byte_level_metadata(**changes: Any) -> dict[str, Any]:
    """A byte-level vocabulary: 256 byte tokens, two merges, an end token."""
    tokens = [byte_level(bytes([value])) for value in range(256)] + ["ab", "abc", "<|im_end|>"]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": Typed(I32, [NORMAL] * 258 + [CONTROL]),
        "tokenizer.ggml.merges": ["a b", "ab c"],
        "tokenizer.ggml.eos_token_id": 258,
    }
    metadata |= {f"tokenizer.ggml.{name}": value for name, value in changes.items()}
    return {key: value for key, value in metadata.items() if value is not None}


VOCABULARIES = ["bert-bge", "gemma-4", "gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2"]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_encodes_the_published_cases(shared_data: Path, name: str) -> None:
    path = shared_data / f"ggml-vocab/ggml-vocab-{name}.gguf"
    spec = open_checkpoint(path).tokenizer()
    assert spec is not None
    texts = Path(f"{path}.inp").read_bytes().decode().split(CASE_SEPARATOR)
    ids = [[int(number) for number in line.split()] for line in Path(f"{path}.out").read_text().split("\n")]
    assert 0 <= len(ids) - len(texts) <= 1  # a file may end with an empty line
    tokenizer = as_text(spec)
    for text, expected in zip(texts, ids, strict=False):
        assert tokenizer.encode(text, add_special_tokens=False).ids == expected, repr(text)
        if name != "bert-bge":  # which lowers case and drops spaces
            assert tokenizer.decode(expected, skip_special_tokens=False) == text


def test_gguf_and_sentencepiece_form_of_one_vocabulary_agree(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "tinyllamas-stories260K"
    from_gguf = open_checkpoint(folder / "stories260K.gguf").tokenizer()
    from_model = open_checkpoint(
        model_folder(tmp_path, tokenizer__model=(folder / "tok512.model").read_bytes())
    ).tokenizer()
    assert from_gguf is not None
    assert from_model is not None
    assert (from_gguf.bos_id, from_gguf.eos_ids, from_gguf.add_bos) == (1, (2,), True)
    assert (from_model.bos_id, from_model.eos_ids, from_model.add_bos) == (1, (2,), True)
    one, other = as_text(from_gguf), as_text(from_model)
    for line in (shared_data / "text/tinystories_sample.txt").read_text(encoding="utf-8").split("\n"):
        text = " ".join(line.split(" "))  # the .model collapses spaces, which a GGUF file cannot say
        assert one.encode(text).ids == other.encode(text.strip(" ")).ids


def test_no_tokenizer_in_the_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "vocab.gguf"
    for metadata in ({}, {"tokenizer.ggml.model": "none"}, {"tokenizer.ggml.model": "no_vocab"}):
        path.write_bytes(gguf_bytes(metadata))
        assert open_checkpoint(path).tokenizer() is None


def test_sentencepiece_vocabulary_round_trips(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, spm_metadata(spm_vocabulary("▁hello", "▁he", "he", "llo", "ll", "▁")))
    tokenizer = as_text(spec)
    assert tokenizer.encode("hello").tokens == ["▁hello"]
    for text in ("hello", " hello", "hello  \n\tworld", "🦙", ""):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert (spec.bos_id, spec.eos_ids, spec.add_bos, spec.add_eos) == (1, (2,), True, False)
    assert spec.special == {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def test_the_file_may_forbid_the_space_before_a_text(tmp_path: Path) -> None:
    metadata = spm_metadata(spm_vocabulary("▁a", "▁")) | {"tokenizer.ggml.add_space_prefix": False}
    assert as_text(spec_of(tmp_path, metadata)).encode("a a").tokens == ["a", "▁a"]


def test_settings_in_the_file_count(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        byte_level_metadata(add_bos_token=True, add_eos_token=True, bos_token_id=5, padding_token_id=2**32 - 1)
        | {"tokenizer.chat_template": "{{ messages }}"},
    )
    assert (spec.bos_id, spec.add_bos, spec.add_eos, spec.chat_template) == (5, True, True, "{{ messages }}")
    assert "pad_token" not in spec.special  # files write 2^32 - 1 for "none"


def test_templates_with_names_come_beside_the_default_one(tmp_path: Path) -> None:
    templates = {
        "tokenizer.chat_templates": ["tool_use"],
        "tokenizer.chat_template.tool_use": "TOOLS",
        "tokenizer.chat_template": "HI",
        "tokenizer.chat_template.default": "old",
    }
    spec = spec_of(tmp_path, byte_level_metadata() | templates)
    assert (spec.chat_template, spec.named_templates) == ("HI", {"tool_use": "TOOLS"})


def test_what_the_pre_tokenizer_implies_counts_where_the_file_is_silent(tmp_path: Path) -> None:
    assert spec_of(tmp_path, byte_level_metadata(pre="llama-bpe", bos_token_id=5)).add_bos
    assert not spec_of(tmp_path, byte_level_metadata(pre="qwen2", bos_token_id=5)).add_bos
    assert not spec_of(tmp_path, byte_level_metadata(pre="llama-bpe", bos_token_id=5, add_bos_token=False)).add_bos


def test_a_known_end_of_turn_ends_an_answer_though_the_file_does_not_name_it(tmp_path: Path) -> None:
    assert spec_of(tmp_path, byte_level_metadata(eos_token_id=5)).eos_ids == (5, 258)
    named = byte_level_metadata(eos_token_id=5, eot_token_id=256)
    assert spec_of(tmp_path, named).eos_ids == (5, 256, 258)


def test_an_ordinary_token_that_spells_an_end_is_none(tmp_path: Path) -> None:
    tokens = [*byte_level_metadata()["tokenizer.ggml.tokens"][:258], "</s>"]
    types = Typed(I32, [NORMAL] * 259)
    spec = spec_of(tmp_path, byte_level_metadata(tokens=tokens, token_type=types, eos_token_id=5))
    assert spec.eos_ids == (5,)  # Qwen2 has "</s>" as a word of HTML


def test_special_tokens_in_a_template_are_one_token_each_and_user_text_cannot_forge_them(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, byte_level_metadata())
    assert Tokenizer.from_str(spec.json).encode("ab<|im_end|>").ids == [256, 258]
    assert 258 not in as_text(spec).encode("ab<|im_end|>").ids


def test_user_defined_tokens_are_found_in_any_text(tmp_path: Path) -> None:
    types = Typed(I32, [NORMAL] * 258 + [USER_DEFINED])
    tokens = [*byte_level_metadata()["tokenizer.ggml.tokens"][:258], "  "]
    spec = spec_of(tmp_path, byte_level_metadata(tokens=tokens, token_type=types, eos_token_id=None))
    assert as_text(spec).encode("ab  ab").ids == [256, 258, 256]


def test_phi3_special_tokens_swallow_the_line_break_after_them(tmp_path: Path) -> None:
    pieces = [*spm_vocabulary("▁"), ("<|user|>", 0.0, CONTROL)]
    plain, phi3 = (
        Tokenizer.from_str(spec_of(tmp_path, spm_metadata(pieces) | {"general.name": name}).json)
        for name in ("Llama", "Phi 3 mini phi-3")
    )
    assert "<0x0A>" in plain.encode("<|user|>\nx").tokens
    assert "<0x0A>" not in phi3.encode("<|user|>\nx").tokens


def test_every_pre_tokenizer_in_the_table_loads(tmp_path: Path) -> None:
    for pre in PRE_TOKENIZERS.values():
        for expression in pre.expressions:
            Split(Regex(expression), "isolated")  # raises where Oniguruma refuses it


@pytest.mark.parametrize(
    ("pre", "text", "words"),
    [
        ("llama-bpe", "I'M 12345  x\n\ny", ["I", "'M", "Ġ", "123", "45", "Ġ", "Ġx", "ĊĊ", "y"]),
        ("qwen2", "I'm 123 été", ["I", "'m", "Ġ", "1", "2", "3", "ĠÃ©tÃ©"]),
        ("gpt-2", "I'M it's 12345", ["I", "'", "M", "Ġit", "'s", "Ġ12345"]),
        ("smollm", "a12 b", ["a", "1", "2", "Ġb"]),
        ("gpt-4o", "HelloWorld's 1234", ["Hello", "World's", "Ġ", "123", "4"]),
        ("tekken", "HelloWORLD 12", ["Hello", "WORLD", "Ġ", "1", "2"]),
        ("deepseek-v3", "1234中文 x", ["123", "4", "ä¸Ńæĸĩ", "Ġx"]),
        ("superbpe", "x 1234567", ["xĠ", "1", "234", "567"]),
        ("default", "a+1234", ["a", "+", "123", "4"]),
        ("afmoe", "x 1234567", ["x", "Ġ", "1", "234", "567"]),
        ("exaone-moe", "a b 12", ["aĠb", "Ġ", "1", "2"]),
        ("chameleon", "a  b12", ["a", "ĠĠ", "b", "1", "2"]),
        ("granite-embed-multi-97m", "HelloWorld's 1234", ["Hello", "World's", "Ġ", "123", "4"]),
    ],
)
def test_text_is_cut_into_words_as_the_named_pre_tokenizer_does(tmp_path: Path, pre: str, text: str, words) -> None:
    tokenizer = as_text(spec_of(tmp_path, byte_level_metadata(pre=pre)))
    assert [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)] == words


def test_a_file_that_names_no_pre_tokenizer_says_so(tmp_path: Path) -> None:
    assert "tokenizer.ggml.pre" in spec_of(tmp_path, byte_level_metadata(pre=None)).notices[0]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        pytest.param({"model": "plamo2"}, Unsupported, "plamo2.*Known: llama", id="kind"),
        pytest.param({"pre": "martian"}, Unsupported, "martian.*Known", id="pre-tokenizer"),
        pytest.param({"tokens": None}, CorruptFile, "tokens is missing", id="no tokens"),
        pytest.param({"tokens": Typed(U8, [1, 2])}, CorruptFile, "wrong type", id="tokens are numbers"),
        pytest.param({"tokens": 7}, CorruptFile, "wrong type", id="tokens is a number"),
        pytest.param({"merges": None}, CorruptFile, "merges is missing", id="no merges"),
        pytest.param({"merges": ["a b", "xy z"]}, CorruptFile, "xy z", id="merge of nothing"),
        pytest.param({"merges": ["ab"]}, CorruptFile, "'ab'", id="merge of one"),
        pytest.param({"token_type": Typed(I32, [1])}, CorruptFile, "259 tokens, but 1 token_type", id="few types"),
        pytest.param({"model": "llama"}, CorruptFile, "scores is missing", id="no scores"),
        pytest.param({"tokens": ["a"] * 259}, CorruptFile, "are the same", id="token twice"),
        pytest.param({"model": "bert", "unknown_token_id": None}, CorruptFile, "bytes|same|unknown|loaded", id="bert"),
    ],
)
def test_an_unsound_vocabulary_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[HearthError], says: str
) -> None:
    if "bert" in changes.values():
        changes = changes | {"tokens": ["a", "b"], "token_type": Typed(I32, [1, 1])}
    with pytest.raises(error, match=says):
        spec_of(tmp_path, byte_level_metadata(**changes))


def test_special_tokens_are_recognised_in_a_file_that_gives_no_types(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, byte_level_metadata(token_type=None))
    assert Tokenizer.from_str(spec.json).encode("ab<|im_end|>").ids == [256, 258]


def test_an_end_token_that_is_a_plain_character_stays_one(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, byte_level_metadata(eos_token_id=ord("a")))
    assert Tokenizer.from_str(spec.json).encode("ab").ids == [256]


@pytest.mark.parametrize("size", [0xFFFFFFFF, 8, 6])
def test_a_normalisation_table_that_announces_too_much_is_refused(tmp_path: Path, size: int) -> None:
    table = size.to_bytes(4, "little") + b"ab"
    pieces = [*spm_vocabulary("▁a")]
    metadata = spm_metadata(pieces) | {"tokenizer.ggml.model": "t5"}
    with pytest.raises(CorruptFile, match="normalisation table"):
        spec_of(tmp_path, metadata | {"tokenizer.ggml.precompiled_charsmap": Typed(U8, list(table))})


def test_spaces_of_sentencepiece_in_a_byte_pair_vocabulary(tmp_path: Path) -> None:
    tokens = ["<unk>", "▁", "a", "b", "ab", "▁ab", *(f"<0x{value:02X}>" for value in range(256))]
    types = Typed(I32, [2, *[NORMAL] * 5, *[6] * 256])
    changes: dict[str, Any] = {"tokens": tokens, "token_type": types, "merges": ["a b", "▁ ab"], "unknown_token_id": 0}
    spec = spec_of(tmp_path, byte_level_metadata(pre="gemma4", eos_token_id=None, **changes))
    assert as_text(spec).encode("ab ab").tokens == ["ab", "▁ab"]
    assert as_text(spec).encode("é").tokens == ["<0xC3>", "<0xA9>"]


def test_tokens_without_a_row_are_found_in_gguf_files_too(tmp_path: Path) -> None:
    metadata = byte_level_metadata()
    rows = len(metadata["tokenizer.ggml.tokens"])
    for count, refused in ((rows, False), (rows - 3, True)):
        tensors = [RawTensor("token_embd.weight", (1, count), 0, 0)]
        (tmp_path / "model.gguf").write_bytes(gguf_bytes(metadata, tensors, bytes(4 * count)))
        if refused:
            with pytest.raises(CorruptFile, match="rows"):
                open_checkpoint(tmp_path / "model.gguf").tokenizer()
        else:
            assert open_checkpoint(tmp_path / "model.gguf").tokenizer() is not None
