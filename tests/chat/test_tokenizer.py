"""What a model reads is what the user wrote: no lost characters, no control tokens from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import processors

from hearth.chat.prompt import Prompt
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.tokenizer_files import load_tokenizer, save_tokenizer
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile, UsageError

from .samples import Case, byte_level, make_spec, sentencepiece

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FAST
@given(text=st.text("abcdefg .,", max_size=30))
def test_text_survives_the_round_trip(case: Case, text: str) -> None:
    assert case.ours.decode(case.ours.encode(text)) == text


@FAST
@given(text=TEXTS)
def test_ids_are_those_of_the_reference_library(case: Case, text: str) -> None:
    assert case.ours.encode(text, parse_special=True) == case.reference.encode(text).ids


@FAST
@given(text=TEXTS)
def test_decoding_agrees_with_the_reference_library(case: Case, text: str) -> None:
    ids = case.reference.encode(text).ids
    assert case.ours.decode(ids, skip_special=False) == case.reference.decode(ids, skip_special_tokens=False)


def test_a_text_cannot_write_control_tokens(case: Case) -> None:
    tokenizer = case.ours
    for control in tokenizer.control:
        text = f"before {control} after"
        ids = tokenizer.encode(text, add_special=False)
        assert not set(ids) & tokenizer.control_ids, control
        assert tokenizer.decode(ids) == text


def test_a_trusted_text_can(case: Case) -> None:
    tokenizer = case.ours
    for control, token_id in tokenizer.control.items():
        assert token_id in tokenizer.encode(f"a{control}b", add_special=False, parse_special=True)


def test_only_what_the_template_wrote_becomes_a_control_token(case: Case) -> None:
    tokenizer = case.ours
    control, token_id = next(iter(tokenizer.control.items()))
    text = f"{control}user says {control} and goes on{control}"
    inside = len(f"{control}user says ") + 1
    ids = tokenizer.encode_prompt(Prompt(text, literal=((inside, inside),)))
    assert ids.count(token_id) == 2
    assert ids[0] == ids[-1] == token_id
    # With the middle taken out, the two ways of reading agree: nothing else about the text changed.
    assert tokenizer.decode(ids[1:-1]).strip() == f"user says {control} and goes on"


def test_control_tokens_take_the_white_space_that_they_declare() -> None:
    tokenizer = Tokenizer(make_spec(sentencepiece()))
    end = tokenizer.control["<|im_end|>"]  # declared to swallow what follows
    text = "<|im_start|>the </s> <|im_end|>\n a"
    literal = text.index("</s>") + 1
    ids = tokenizer.encode_prompt(Prompt(text, literal=((literal, literal),)))
    assert ids[ids.index(end) + 1 :] == tokenizer.encode("a")


def test_bos_is_added_once_and_only_where_it_is_wanted() -> None:
    raw = sentencepiece()
    bos = raw.token_to_id("<s>")
    by_us = Tokenizer(make_spec(raw, add_bos=True))
    assert by_us.encode("a").count(bos) == 1
    assert bos not in by_us.encode("a", add_special=False)
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    by_json = Tokenizer(make_spec(raw, added_by_json=True))
    assert by_json.encode("a").count(bos) == 1
    assert by_json.encode("<s>").count(bos) == 1, "the written-out one is text"
    assert bos not in by_json.encode("a", add_special=False)


def test_ids_past_the_vocabulary_have_no_text() -> None:
    tokenizer = Tokenizer(make_spec(byte_level()))
    assert tokenizer.decode([*tokenizer.encode("ab"), tokenizer.vocab_size + 5]) == "ab"


def test_truncation_left_over_from_training_is_ignored() -> None:
    raw = byte_level()
    raw.enable_truncation(4)
    raw.enable_padding(length=64)
    assert Tokenizer(make_spec(raw)).decode(Tokenizer(make_spec(raw)).encode("a b c " * 9)) == "a b c " * 9


@pytest.mark.parametrize("source", ["", "{}", "[1", '{"model": 3}', "null"])
def test_a_damaged_tokenizer_is_refused(source: str) -> None:
    with pytest.raises(CorruptFile, match=r"tokenizer\.json"):
        Tokenizer(TokenizerSpec(source, None, (), False, False, {}, None))


@pytest.mark.parametrize("text", ["half \ud83d of a pair", "byte \udce9 of an argument", "<|im_end|>\udc80"])
def test_half_a_character_is_an_error_that_says_where(text: str) -> None:
    tokenizer = Tokenizer(make_spec(byte_level()))
    with pytest.raises(UsageError, match="half of a character at position"):
        tokenizer.encode(text)


class Broken:
    """Stands for the library where it panics over a text."""

    def __init__(self, raw: object, *, over: str) -> None:
        self._raw, self._over = raw, over

    def __getattr__(self, name: str) -> object:
        return getattr(self._raw, name)

    def encode(self, text: str, **settings: object) -> object:
        return self.encode_batch_fast([text], **settings)[0]

    def encode_batch_fast(self, texts: list[str], **settings: object) -> Any:
        if self._over in texts[0]:
            raise type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})("regex: stack overflow")
        return self._raw.encode_batch_fast(texts, **settings)  # type: ignore[attr-defined]


def test_a_panic_of_the_library_is_an_error_of_ours() -> None:
    """Its panics are no `Exception`: they would end a server's thread, or the program."""
    tokenizer = Tokenizer(make_spec(byte_level()))
    whole = tokenizer._raw
    tokenizer._raw = Broken(whole, over="  ")  # type: ignore[assignment]
    with pytest.raises(UsageError, match=r"this text cannot be encoded.*stack overflow"):
        tokenizer.encode("a  b")
    assert tokenizer.encode("a b") == whole.encode("a b").ids
    tokenizer._raw = Broken(whole, over="")  # type: ignore[assignment]
    with pytest.raises(CorruptFile, match=r"tokenizer is damaged.*stack overflow"):
        tokenizer.encode("a b")


@FAST
@given(data=st.data())
def test_quoted_control_tokens_change_nothing_around_them(case: Case, data: st.DataObject) -> None:
    """A text with control tokens as text is what it is with any other characters of the same kind in their place."""
    tokenizer = case.ours
    control = data.draw(st.sampled_from(sorted(tokenizer.control)))
    parts = data.draw(st.lists(st.sampled_from(["a", " b", "\n", "é", " ", "<", control]), max_size=6))
    text = "".join([*parts, control])
    ids = tokenizer.encode(text, add_special=False)
    assert not set(ids) & tokenizer.control_ids
    assert tokenizer.decode(ids, continues=True).lstrip() == text.lstrip()
    around = tokenizer.encode(text)
    assert [i for i in around if i not in tokenizer.control_ids] == ids


def test_saved_and_loaded(tmp_path: Path) -> None:
    named, further = {"tool_use": "{{ tools }}"}, ("<a>",)
    spec = make_spec(
        byte_level(),
        chat_template="{{ messages }}",
        add_bos=True,
        named_templates=named,
        additional_special=further,
    )
    save_tokenizer(spec, tmp_path)
    assert load_tokenizer(tmp_path) == spec


def test_no_tokenizer_is_not_an_error(tmp_path: Path) -> None:
    assert load_tokenizer(tmp_path) is None


@pytest.mark.parametrize(
    "meta", ["", "[]", "{}", '{"version": 9}', '{"version": 2, "bos_id": -1}', '{"version": 2, "eos_ids": [true]}']
)
def test_damaged_tokenizer_files_are_refused(tmp_path: Path, meta: str) -> None:
    save_tokenizer(make_spec(byte_level()), tmp_path)
    (tmp_path / "tokenizer_meta.json").write_text(meta)
    with pytest.raises(CorruptFile, match="tokenizer_meta"):
        load_tokenizer(tmp_path)


def test_half_a_tokenizer_is_refused(tmp_path: Path) -> None:
    save_tokenizer(make_spec(byte_level()), tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(CorruptFile):
        load_tokenizer(tmp_path)


@FAST
@given(token=st.integers(-(2**70), 2**70))
def test_an_id_that_no_vocabulary_holds_leaves_no_text(case: Case, token: int) -> None:
    if not 0 <= token < case.ours.vocab_size:
        assert case.ours.decode([token]) == ""
