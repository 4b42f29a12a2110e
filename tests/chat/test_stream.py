"""A streamed answer is the answer: the same text, in whole characters, as early as it is certain."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.types import TokenizerSpec

from .samples import Case, byte_level, make_spec, sentencepiece

FAST = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    stream = tokenizer.stream()
    return [*map(stream.push, ids), stream.finish()]


@FAST
@given(data=st.data())
def test_any_ids_stream_to_what_they_decode_to(case: Case, data: st.DataObject) -> None:
    tokenizer = case.ours
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size + 3), max_size=24))
    assert "".join(streamed(tokenizer, ids)) == tokenizer.decode(ids)


@FAST
@given(text=st.text(st.sampled_from("aé日🙂👩‍👩‍👧 \n"), max_size=20))
def test_no_character_is_ever_split(case: Case, text: str) -> None:
    tokenizer = case.ours
    ids = tokenizer.encode(text, add_special=False)
    decoded = tokenizer.decode(ids)
    parts = streamed(tokenizer, ids)
    assert "".join(parts) == decoded
    assert "�" not in "".join(parts) or "�" in text


def test_a_character_comes_with_its_last_byte() -> None:
    tokenizer = Tokenizer(make_spec(sentencepiece()))
    ids = tokenizer.encode("a🙂b")
    assert [p for p in streamed(tokenizer, ids) if p] == ["a", "🙂", "b"]
    stream = tokenizer.stream()
    shown = [stream.push(i) for i in ids[:-1]]
    assert shown[-1] == "🙂", "nothing of the next token is needed"


def test_bytes_that_make_no_character_are_shown_as_such() -> None:
    tokenizer = Tokenizer(make_spec(sentencepiece()))
    half = [tokenizer.id_of("<0xF0>"), tokenizer.id_of("<0x9F>")]
    after = tokenizer.id_of("b")
    ids = [i for i in [*half, after] if i is not None]
    assert streamed(tokenizer, ids) == ["", "", "�b", ""]
    assert streamed(tokenizer, ids[:2])[-1] == "�", "an answer cut inside a character says so at its end"


def test_first_space_is_dropped_once_and_kept_when_a_prompt_is_continued() -> None:
    tokenizer = Tokenizer(make_spec(sentencepiece()))
    ids = tokenizer.encode("the the")
    assert tokenizer.decode(ids) == "the the"
    assert tokenizer.decode(ids, continues=True) == " the the"


def test_metaspace_decoder_agrees_with_the_library() -> None:
    raw = RawTokenizer(models.BPE({"▁a": 0, "b": 1, "▁": 2, "▁▁c": 3}, []))
    raw.decoder = decoders.Metaspace()
    tokenizer = Tokenizer(TokenizerSpec(raw.to_str(), None, (), False, False, {}, None))
    for ids in ([0, 1, 2, 0], [3, 3], [2, 2, 1], [1, 0]):
        assert tokenizer.decode(ids) == raw.decode(ids)


def test_another_kind_of_decoder_is_left_to_the_library() -> None:
    raw = RawTokenizer(models.WordPiece({"[UNK]": 0, "play": 1, "##ing": 2, "ball": 3}, unk_token="[UNK]"))
    raw.decoder = decoders.WordPiece(cleanup=False)
    tokenizer = Tokenizer(TokenizerSpec(raw.to_str(), None, (), False, False, {}, None))
    assert tokenizer.decode([1, 2, 3]) == "playing ball"


def test_control_tokens_are_hidden_unless_kept() -> None:
    tokenizer = Tokenizer(make_spec(byte_level()))
    end = tokenizer.control["<|im_end|>"]
    ids = [*tokenizer.encode("ab"), end]
    assert tokenizer.decode(ids) == "ab"
    stream = tokenizer.stream(keep=frozenset({end}))
    assert "".join(map(stream.push, ids)) == "ab<|im_end|>"
