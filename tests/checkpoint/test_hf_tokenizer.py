"""Tokenizers of Hugging Face folders: which file counts for what, and conversions of tokenizer.model."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, models, processors

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint import TokenizerSpec, open_checkpoint
from hearth.checkpoint.generation import published_sampling
from hearth.checkpoint.tokenizer.vocabulary import byte_level
from hearth.errors import CorruptFile, Unsupported

from .builders import entry, model_folder, safetensors_bytes, sentencepiece_bytes, spm_vocabulary


def small_tokenizer(single: str | None = None) -> str:
    """A tokenizer.json of a few words; `single` is what its post-processor makes of a text `$A`."""
    tokenizer = tokenizers.Tokenizer(models.BPE({"a": 0, "b": 1, "<s>": 2, "</s>": 3, "<|end|>": 4}, []))
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<s>", "</s>", "<|end|>")])
    if single is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[("<s>", 2), ("</s>", 3)]
        )
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
    spec = spec_of(tmp_path, tokenizer__json=small_tokenizer("<s> $A"), tokenizer_config__json={"bos_token": "<s>"})
    assert spec.added_by_json
    assert not spec.add_bos
    assert tokenizers.Tokenizer.from_str(spec.json).encode("a").ids == [2, 0]


@pytest.mark.parametrize("flags", [{"add_bos_token": False}, {"add_bos_token": True}, {"add_eos_token": False}, {}])
@pytest.mark.parametrize(("single", "ids"), [("<s> $A", [2, 0]), ("$A </s>", [0, 3]), ("$A", [0])])
def test_a_post_processor_decides_whatever_tokenizer_config_says(
    tmp_path: Path, single: str, ids: list[int], flags: dict[str, bool]
) -> None:
    """As in transformers 5 and in llama.cpp's converter. Qwen3's files say so: EOS at the end, add_bos_token false."""
    spec = spec_of(
        tmp_path,
        tokenizer__json=small_tokenizer(single),
        tokenizer_config__json={"bos_token": "<s>", "eos_token": "</s>", **flags},
    )
    assert Tokenizer(spec).encode("a") == ids


@pytest.mark.parametrize(("flags", "ids"), [({"add_bos_token": True}, [2, 0]), ({"add_eos_token": True}, [0, 3])])
def test_without_a_post_processor_tokenizer_config_decides(
    tmp_path: Path, flags: dict[str, bool], ids: list[int]
) -> None:
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    files = {"tokenizer__json": small_tokenizer(), "tokenizer_config__json": names | flags}
    assert Tokenizer(spec_of(tmp_path, **files)).encode("a") == ids
    # What is appended is the tokenizer's end of sequence, not another end of an answer.
    assert Tokenizer(spec_of(tmp_path, **files, generation_config__json={"eos_token_id": [4]})).encode("a") == ids


def test_padding_and_truncation_of_a_training_run_change_no_text(tmp_path: Path) -> None:
    document = json.loads(small_tokenizer("<s> $A"))
    padding = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 3, "pad_type_id": 0, "pad_token": "</s>"}
    cut = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
    for fixed in (16, 200_000_000):
        whole = document | {"padding": padding | {"strategy": {"Fixed": fixed}}, "truncation": cut}
        spec = spec_of(tmp_path, tokenizer__json=whole, tokenizer_config__json={"bos_token": "<s>"})
        assert Tokenizer(spec).encode("ab") == [2, 0, 1]


def test_a_text_has_the_same_tokens_each_time_though_merges_were_dropped_in_training(tmp_path: Path) -> None:
    document = json.loads(small_tokenizer("<s> $A"))
    document["model"] = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 5}, "merges": [["a", "b"]], "dropout": 0.5}
    spec = spec_of(tmp_path, tokenizer__json=document, tokenizer_config__json={"bos_token": "<s>"})
    tokenizer = Tokenizer(spec)
    assert [tokenizer.encode("ab") for _ in range(20)] == [[2, 5]] * 20


def test_a_post_processor_that_breaks_is_refused(tmp_path: Path) -> None:
    document = json.loads(small_tokenizer("<s> $A"))
    document["post_processor"]["special_tokens"] = {}
    with pytest.raises(CorruptFile, match="damaged"):
        spec_of(tmp_path, tokenizer__json=document)
    document["post_processor"]["special_tokens"] = {"<s>": {"id": "<s>", "ids": [2] * 1000, "tokens": ["<s>"] * 1000}}
    with pytest.raises(CorruptFile, match="1,000 tokens around each text"):
        spec_of(tmp_path, tokenizer__json=document)


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
    assert tokenizers.Tokenizer.from_str(spec.json).encode("a a").tokens == ["▁a", "▁a"]


def test_tokens_added_to_a_tokenizer_model_keep_their_ids(tmp_path: Path) -> None:
    pieces = spm_vocabulary("▁a", "▁")
    size = len(pieces)
    added = {str(size): {"content": "<|user|>", "special": True}, str(size + 5): {"content": "<x>", "special": False}}
    spec = spec_of(
        tmp_path,
        tokenizer__model=sentencepiece_bytes(pieces, byte_fallback=True),
        tokenizer_config__json={"added_tokens_decoder": added, "eos_token": "<|user|>"},
    )
    tokenizer = tokenizers.Tokenizer.from_str(spec.json)
    assert tokenizer.encode("<|user|>a<x>").ids == [size, tokenizer.token_to_id("▁a"), size + 5]
    assert spec.eos_ids == (size,)


def ranks(*tokens: bytes) -> bytes:
    words = [bytes([value]) for value in range(256)] + list(tokens)
    return b"".join(base64.b64encode(word) + b" %d\n" % rank for rank, word in enumerate(words))


def test_llama3_ranks_are_converted(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, tokenizer__model=ranks(b"ab", b"abc", b" x"))
    assert (spec.bos_id, spec.eos_ids, spec.add_bos) == (259, (260, 267, 268), True)
    tokenizer = tokenizers.Tokenizer.from_str(spec.json)
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
    tokenizer = tokenizers.Tokenizer.from_str(spec.json)
    cases = shared_data / "ggml-vocab/ggml-vocab-llama-bpe.gguf"
    texts = Path(f"{cases}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    for text, line in zip(texts, Path(f"{cases}.out").read_text().split("\n"), strict=False):
        assert tokenizer.encode(text).ids == [int(number) for number in line.split()]


@pytest.mark.parametrize("name", ["phi3", "gptneox20b", "bpe49152"])
def test_real_tokenizer_json_files_load(shared_data: Path, tmp_path: Path, name: str) -> None:
    text = (shared_data / f"tokenizers/{name}.tokenizer.json").read_text(encoding="utf-8")
    tokenizer = tokenizers.Tokenizer.from_str(spec_of(tmp_path, tokenizer__json=text).json)
    assert tokenizer.decode(tokenizer.encode("Hello, world! 你好 🦙").ids).strip() == "Hello, world! 你好 🦙"


def test_byte_level_spells_every_byte_with_its_own_printable_character() -> None:
    text = byte_level(bytes(range(256)))
    assert len(set(text)) == 256
    assert all(character.isprintable() and not character.isspace() for character in text)
    assert byte_level(b"Hello \n") == "HelloĠĊ"


@pytest.mark.parametrize("name", ["tokenizer__json", "tokenizer_config__json", "generation_config__json"])
def test_a_byte_order_mark_loses_nothing(tmp_path: Path, name: str) -> None:
    files = {
        "tokenizer__json": small_tokenizer(),
        "tokenizer_config__json": json.dumps({"eos_token": "</s>"}),
        "generation_config__json": json.dumps({"eos_token_id": [4], "temperature": 0.25}),
    }
    folder = model_folder(tmp_path, **{**files, name: b"\xef\xbb\xbf" + files[name].encode()})
    spec = open_checkpoint(folder).tokenizer()
    assert spec is not None
    assert spec.eos_ids == (4, 3)
    assert published_sampling(open_checkpoint(folder)) == {"temperature": 0.25}


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_name(tmp_path: Path, mark: str) -> None:
    with pytest.raises(CorruptFile, match="UTF-16"):
        spec_of(tmp_path, tokenizer__json="\ufeff".encode(mark) + small_tokenizer().encode(mark))


@pytest.mark.parametrize("name", ["tokenizer_config__json", "special_tokens_map__json"])
def test_half_a_character_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorruptFile, match=r"half of a character.*surrogates"):
        spec_of(tmp_path, tokenizer__json=small_tokenizer(), **{name: '{"eos_token": "\\ud800"}'})
    whole = spec_of(tmp_path, tokenizer__json=small_tokenizer(), **{name: '{"eos_token": "\\ud83d\\ude00"}'})
    assert whole.special["eos_token"] == "\U0001f600"


def test_chat_templates_find_every_named_special_token(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        tokenizer__json=small_tokenizer(),
        tokenizer_config__json={
            "sep_token": "<|end|>",
            "image_token": {"content": "<img>", "special": True},
            "extra_special_tokens": {"audio_token": "<audio>"},
            "add_bos_token": True,
            "mask_token": None,
        },
        special_tokens_map__json={"cls_token": "<s>", "additional_special_tokens": ["<x>", {"content": "<y>"}]},
    )
    names = {"sep_token": "<|end|>", "image_token": "<img>", "audio_token": "<audio>", "cls_token": "<s>"}
    assert spec.special == names
    assert spec.additional_special == ("<x>", "<y>")


def embedding_of(rows: int) -> bytes:
    header = {"model.embed_tokens.weight": entry("BF16", (rows, 3), 0, 6 * rows)}
    return safetensors_bytes(header, bytes(6 * rows))


def test_an_added_token_without_a_row_is_plain_text_and_said(tmp_path: Path) -> None:
    raw = tokenizers.Tokenizer.from_str(small_tokenizer())
    raw.add_tokens([AddedToken("ab", special=False)])
    files = {"tokenizer__json": raw.to_str(), "tokenizer_config__json": {"eos_token": "</s>"}}
    spec = spec_of(tmp_path, **files, model__safetensors=embedding_of(5))
    assert Tokenizer(spec).encode("ab") == [0, 1]
    assert "'ab'" in spec.notices[0]
    whole = spec_of(tmp_path, **files, model__safetensors=embedding_of(6))
    assert (Tokenizer(whole).encode("ab"), whole.notices) == ([5], ())


def test_a_special_token_without_a_row_is_said_only_where_the_template_writes_it(tmp_path: Path) -> None:
    files = {"tokenizer__json": small_tokenizer(), "model__safetensors": embedding_of(4)}
    settings = {"eos_token": "</s>", "chat_template": "{{ x }}"}
    assert spec_of(tmp_path, **files, tokenizer_config__json=settings).notices == ()
    settings["chat_template"] = "<|end|>{{ x }}"
    assert len(spec_of(tmp_path, **files, tokenizer_config__json=settings).notices) == 1


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="no rows for"):
        spec_of(tmp_path, tokenizer__json=small_tokenizer(), model__safetensors=embedding_of(1))


def test_an_end_of_answer_beyond_the_vocabulary_is_dropped_and_said(tmp_path: Path) -> None:
    files = {"tokenizer__json": small_tokenizer(), "model__safetensors": embedding_of(8)}
    spec = spec_of(tmp_path, **files, generation_config__json={"eos_token_id": [151645, 3]})
    assert spec.eos_ids == (3,)
    assert "151,645" in spec.notices[0]
    with pytest.raises(CorruptFile, match="ends an answer"):
        spec_of(tmp_path, **files, generation_config__json={"eos_token_id": 151645})


VOCAB = {"a": 0, "b": 1, "ab": 2, "\u0120": 3, "1": 4, "12": 5, "'": 6, "s": 7, "'s": 8, "<|endoftext|>": 9}
MERGES = "#version: 0.2\na b\n1 2\n' s\n"


def slow_tokenizer(path: Path, **settings: Any) -> TokenizerSpec:
    vocab = {**VOCAB, "2": 10, "\u00c3": 11, "\u00a9": 12, "S": 13, "'S": 14}
    return spec_of(path, vocab__json=vocab, merges__txt=MERGES + "' S\n", tokenizer_config__json=settings)


def test_vocab_json_and_merges_txt_are_a_tokenizer(tmp_path: Path) -> None:
    """Against transformers 5.24: GPT2Tokenizer, Qwen2Tokenizer of the same two files."""
    gpt2, qwen2 = (slow_tokenizer(tmp_path, tokenizer_class=f"{name}TokenizerFast") for name in ("GPT2", "Qwen2"))
    assert Tokenizer(gpt2).encode("ab 12's'S") == [2, 3, 5, 8, 6, 13]
    assert Tokenizer(qwen2).encode("ab 12's'S") == [2, 3, 4, 10, 8, 14]
    assert Tokenizer(gpt2).encode("<|endoftext|>a", parse_special=True) == [9, 0]
    assert (gpt2.special["bos_token"], gpt2.eos_ids, gpt2.add_bos) == ("<|endoftext|>", (9,), False)
    assert "bos_token" not in qwen2.special


def test_added_tokens_of_older_files_are_found(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        vocab__json=VOCAB,
        merges__txt="#version: 0.2\na b\n",
        added_tokens__json={"<|im_end|>": 12},
        tokenizer_config__json={"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>"},
    )
    assert spec.eos_ids == (12,)
    assert Tokenizer(spec).encode("ab<|im_end|>", parse_special=True) == [2, 12]


def test_a_class_that_cuts_text_otherwise_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="CodeGenTokenizer"):
        slow_tokenizer(tmp_path, tokenizer_class="CodeGenTokenizer")
    assert "GPT-2" in slow_tokenizer(tmp_path).notices[0]


def test_merges_that_name_unknown_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match=r"merges.txt, line 2: the merge 'a z'"):
        spec_of(tmp_path, vocab__json=VOCAB, merges__txt="#version: 0.2\na z\n")


LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"


def tekken(**changes: Any) -> dict[str, Any]:
    words = [bytes([value]) for value in range(256)] + [b"th", b"the", b" the", b" t", b"in", b"ing"]
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(word).decode()} for rank, word in enumerate(words)]
    names = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")
    special = [{"rank": rank, "token_str": name, "is_control": True} for rank, name in enumerate(names)]
    config = {"pattern": LETTERS, "default_vocab_size": 20 + len(words) - 1, "default_num_special_tokens": 20}
    return {"config": config, "vocab": vocab, "special_tokens": special} | changes


def test_mistrals_tekken_json_is_a_tokenizer(tmp_path: Path) -> None:
    """Ids: transformers 5.24, MistralConverter of the same file. Its last word lies beyond default_vocab_size."""
    spec = spec_of(tmp_path, tekken__json=tekken())
    assert (spec.bos_id, spec.eos_ids, spec.add_bos) == (1, (2,), True)
    assert Tokenizer(spec).encode("the thing") == [1, 277, 52, 276, 280, 123]
    assert Tokenizer(spec).encode("[INST]é[/INST]", parse_special=True) == [1, 3, 215, 189, 4]


@pytest.mark.parametrize(("version", "named"), [("v3", False), ("v7", True)])
def test_older_tekken_json_files_leave_their_special_tokens_to_the_program(
    tmp_path: Path, version: str, named: bool
) -> None:
    """Ids: mistral-common 1.13. Tokens of version 7 tell that a model takes a system prompt, so only that has them."""
    config = {**tekken()["config"], "version": version}
    tokenizer = Tokenizer(spec_of(tmp_path, tekken__json=tekken(special_tokens=None, config=config)))
    assert tokenizer.encode("[INST]é[/INST]", parse_special=True) == [1, 3, 215, 189, 4]
    assert [tokenizer.id_of(text) for text in ("[TOOL_CALLS]", "[SUFFIX]")] == [9, 16]
    assert (tokenizer.id_of("[SYSTEM_PROMPT]") == 17) is named


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"special_tokens": None}, Unsupported),
        ({"config": {"pattern": LETTERS, "default_num_special_tokens": 2}}, CorruptFile),
        ({"config": {"pattern": "("}}, CorruptFile),
        ({"vocab": [{"rank": 1, "token_bytes": "YQ=="}]}, CorruptFile),
        ({"vocab": [{"rank": 0, "token_bytes": "?"}]}, CorruptFile),
        ({"vocab": 3}, CorruptFile),
    ],
)
def test_a_damaged_tekken_json_is_refused(tmp_path: Path, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        spec_of(tmp_path, tekken__json=tekken(**changes))
