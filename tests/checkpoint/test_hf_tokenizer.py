"""Tokenizers of Hugging Face folders: which file counts for what, and conversions of tokenizer.model."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, processors

from hearth.checkpoint import TokenizerSpec, open_checkpoint
from hearth.checkpoint.tokenizer.vocabulary import byte_level
from hearth.errors import CorruptFile

from .builders import model_folder, sentencepiece_bytes, spm_vocabulary


def small_tokenizer(*, template: bool = False) -> str:
    """A tokenizer.json of a few words; with `template` it puts `<s>` before each text by itself."""
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "<s>": 2, "</s>": 3, "<|end|>": 4}, []))
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<s>", "</s>", "<|end|>")])
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return tokenizer.to_str()


def spec_of(path: Path, **files: Any) -> TokenizerSpec:
    """The tokenizer of a folder; files that are no text are written as JSON."""
    texts = {name: value if isinstance(value, str | bytes) else json.dumps(value) for name, value in files.items()}
    spec = open_checkpoint(model_folder(path, **texts)).tokenizer()
    assert spec is not None
    return spec


def test_a_folder_without_a_tokenizer_has_none(tmp_path: Path) -> None:
    assert open_checkpoint(model_folder(tmp_path)).tokenizer() is None


def test_tokenizer_json_is_taken_as_it_is(tmp_path: Path) -> None:
    text = small_tokenizer()
    spec = spec_of(tmp_path, tokenizer__json=text, tokenizer_config__json={"eos_token": "</s>", "bos_token": "<s>"})
    assert spec.json == text
    assert (spec.bos_id, spec.eos_ids, spec.add_bos, spec.added_by_json) == (2, (3,), False, False)
    assert spec.special == {"eos_token": "</s>", "bos_token": "<s>"}


def test_a_tokenizer_json_that_adds_bos_itself_is_recognised(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path, tokenizer__json=small_tokenizer(template=True), tokenizer_config__json={"bos_token": "<s>"}
    )
    assert spec.added_by_json
    assert not spec.add_bos
    assert Tokenizer.from_str(spec.json).encode("a").ids == [2, 0]


@pytest.mark.parametrize("add_bos", [True, False])
def test_tokenizer_config_overrules_what_tokenizer_json_adds(tmp_path: Path, add_bos: bool) -> None:
    spec = spec_of(
        tmp_path,
        tokenizer__json=small_tokenizer(template=True),
        tokenizer_config__json={"bos_token": "<s>", "add_bos_token": add_bos},
    )
    assert (spec.add_bos, spec.added_by_json) == (add_bos, False)
    assert Tokenizer.from_str(spec.json).encode("a").ids == [0]


def test_every_token_that_ends_an_answer_is_found(tmp_path: Path) -> None:
    config = {"tokenizer__json": small_tokenizer(), "tokenizer_config__json": {"eos_token": {"content": "</s>"}}}
    assert spec_of(tmp_path, **config).eos_ids == (3,)
    assert spec_of(tmp_path, **config, generation_config__json={"eos_token_id": [4, 1]}).eos_ids == (4, 1, 3)
    assert spec_of(tmp_path, **config, generation_config__json={"eos_token_id": 4}).eos_ids == (4, 3)
    (tmp_path / "generation_config.json").unlink()
    config["config__json"] = {"model_type": "llama", "eos_token_id": 1}
    assert spec_of(tmp_path, **config).eos_ids == (1, 3)


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config__json": {"chat_template": "HI"}},
        {
            "tokenizer_config__json": {
                "chat_template": [{"name": "rag", "template": "no"}, {"name": "default", "template": "HI"}]
            }
        },
        {"tokenizer_config__json": {"chat_template": "old"}, "chat_template__jinja": "HI"},
        {"chat_template__json": {"chat_template": "HI"}},
    ],
    ids=["text", "by name", "file", "json file"],
)
def test_the_chat_template_is_found_wherever_it_stands(tmp_path: Path, files: dict[str, Any]) -> None:
    assert spec_of(tmp_path, tokenizer__json=small_tokenizer(), **files).chat_template == "HI"


NAMED = {"default": "HI", "rag": "DOCUMENTS", "tool_use": "TOOLS"}
IN_A_LIST = [{"name": name, "template": text} for name, text in NAMED.items()]


@pytest.mark.parametrize("kind", ["list", "json file", "folder"])
def test_templates_with_names_are_found_wherever_they_stand(tmp_path: Path, kind: str) -> None:
    files: dict[str, Any] = {
        "list": {"tokenizer_config__json": {"chat_template": IN_A_LIST}},
        "json file": {"chat_template__json": {"chat_template": NAMED}},
        "folder": {"chat_template__jinja": NAMED["default"], "tokenizer_config__json": {"chat_template": "old"}},
    }[kind]
    if kind == "folder":
        folder = tmp_path / "additional_chat_templates"
        folder.mkdir()
        for name in ("rag", "tool_use"):
            (folder / f"{name}.jinja").write_text(NAMED[name])
    spec = spec_of(tmp_path, tokenizer__json=small_tokenizer(), **files)
    assert spec.chat_template == "HI"
    assert spec.named_templates == {"rag": "DOCUMENTS", "tool_use": "TOOLS"}


def test_a_template_with_a_name_is_part_of_what_a_model_is(tmp_path: Path) -> None:
    """Or a bundle would keep the one that its folder had before."""
    folder = model_folder(tmp_path)
    first = open_checkpoint(folder).fingerprint()
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("TOOLS")
    assert open_checkpoint(folder).fingerprint() != first


def test_all_special_tokens_with_a_name_are_known_by_it(tmp_path: Path) -> None:
    """As templates use them: `image_token` and whatever else authors name."""
    spec = spec_of(
        tmp_path,
        tokenizer__json=small_tokenizer(),
        tokenizer_config__json={
            "add_bos_token": True,
            "bos_token": "<s>",
            "mask_token": {"content": "<mask>"},
            "image_token": "<image>",
            "extra_special_tokens": {"boi_token": "<boi>"},
            "additional_special_tokens": ["<a>", {"content": "<b>"}],
        },
        special_tokens_map__json={"cls_token": "<cls>", "sep_token": "<sep>", "image_token": "<other>"},
    )
    assert spec.special == {
        "bos_token": "<s>",
        "mask_token": "<mask>",
        "image_token": "<image>",
        "boi_token": "<boi>",
        "cls_token": "<cls>",
        "sep_token": "<sep>",
    }
    assert spec.additional_special == ("<a>", "<b>")


def test_special_tokens_map_fills_in(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        tokenizer__json=small_tokenizer(),
        tokenizer_config__json={"bos_token": "<s>", "pad_token": None},
        special_tokens_map__json={"bos_token": "wrong", "eos_token": {"content": "</s>"}},
    )
    assert spec.special == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer__json", "{"),
        ("tokenizer__json", "{}"),
        ("tokenizer__json", "[" * 100_000),
        ("tokenizer__json", b"\xff\xfe"),
        ("tokenizer_config__json", "[]"),
        ("generation_config__json", "nonsense"),
        ("special_tokens_map__json", '{"a": 1, "a": 2}'),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: str | bytes) -> None:
    with pytest.raises(CorruptFile):
        spec_of(tmp_path, **({"tokenizer__json": small_tokenizer()} | {name: content}))


def test_tokenizer_model_alone_is_converted(tmp_path: Path) -> None:
    data = sentencepiece_bytes(spm_vocabulary("▁a", "▁"), byte_fallback=True)
    spec = spec_of(tmp_path, tokenizer__model=data)
    assert (spec.bos_id, spec.eos_ids, spec.add_bos, spec.add_eos) == (1, (2,), True, False)
    assert spec.special == {"bos_token": "<s>", "eos_token": "</s>"}
    assert Tokenizer.from_str(spec.json).encode("a a").tokens == ["▁a", "▁a"]


def test_tokens_added_to_a_tokenizer_model_keep_their_ids(tmp_path: Path) -> None:
    pieces = spm_vocabulary("▁a", "▁")
    size = len(pieces)
    added = {str(size): {"content": "<|user|>", "special": True}, str(size + 5): {"content": "<x>", "special": False}}
    spec = spec_of(
        tmp_path,
        tokenizer__model=sentencepiece_bytes(pieces, byte_fallback=True),
        tokenizer_config__json={"added_tokens_decoder": added, "eos_token": "<|user|>"},
    )
    tokenizer = Tokenizer.from_str(spec.json)
    assert tokenizer.encode("<|user|>a<x>").ids == [size, tokenizer.token_to_id("▁a"), size + 5]
    assert spec.eos_ids == (size,)


def ranks(*tokens: bytes) -> bytes:
    words = [bytes([value]) for value in range(256)] + list(tokens)
    return b"".join(base64.b64encode(word) + b" %d\n" % rank for rank, word in enumerate(words))


def test_llama3_ranks_are_converted(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, tokenizer__model=ranks(b"ab", b"abc", b" x"))
    assert (spec.bos_id, spec.eos_ids, spec.add_bos) == (259, (260, 267, 268), True)
    tokenizer = Tokenizer.from_str(spec.json)
    assert tokenizer.encode("abcab x").ids == [257, 256, 258]
    assert tokenizer.encode("<|start_header_id|>a").ids == [265, 97]
    assert tokenizer.get_vocab_size() == 259 + 256
    assert tokenizer.token_to_id("<|reserved_special_token_245|>") == 259 + 255


@pytest.mark.parametrize("line", [b"!!! 256\n", b"YWI= 300\n", b"YWI=\n", b"YQ== 256\n", b" 256\n"])
def test_damaged_llama3_ranks_are_refused(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(CorruptFile, match=r"tokenizer\.model"):
        spec_of(tmp_path, tokenizer__model=ranks() + line)


def test_real_llama3_ranks_encode_the_published_cases(shared_data: Path, tmp_path: Path) -> None:
    data = (shared_data / "tokenizers/llama3.tokenizer.model").read_bytes()
    spec = spec_of(tmp_path, tokenizer__model=data)
    assert spec.eos_ids == (128001, 128008, 128009)
    tokenizer = Tokenizer.from_str(spec.json)
    cases = shared_data / "ggml-vocab/ggml-vocab-llama-bpe.gguf"
    texts = Path(f"{cases}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    for text, line in zip(texts, Path(f"{cases}.out").read_text().split("\n"), strict=False):
        assert tokenizer.encode(text).ids == [int(number) for number in line.split()]


@pytest.mark.parametrize("name", ["phi3", "gptneox20b", "bpe49152"])
def test_real_tokenizer_json_files_load(shared_data: Path, tmp_path: Path, name: str) -> None:
    text = (shared_data / f"tokenizers/{name}.tokenizer.json").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_str(spec_of(tmp_path, tokenizer__json=text).json)
    assert tokenizer.decode(tokenizer.encode("Hello, world! 你好 🦙").ids).strip() == "Hello, world! 你好 🦙"


def test_byte_level_spells_every_byte_with_its_own_printable_character() -> None:
    text = byte_level(bytes(range(256)))
    assert len(set(text)) == 256
    assert all(character.isprintable() and not character.isspace() for character in text)
    assert byte_level(b"Hello \n") == "HelloĠĊ"
