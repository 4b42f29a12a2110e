"""Text between two others: each family's tokens in its order, and neither text can write one of them."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer as RawTokenizer

from hearth.chat.infill import FORMS, PREFIX, SUFFIX, infill_form, infill_prompt
from hearth.chat.request import Requests
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import Unsupported, UsageError

from .samples import byte_level, make_spec


def with_tokens(*tokens: str) -> Tokenizer:
    raw: RawTokenizer = byte_level()
    raw.add_special_tokens(list(tokens))
    return Tokenizer(make_spec(raw))


def requests(tokenizer: Tokenizer) -> Requests:
    return Requests("m", tokenizer, published={}, vocab_size=tokenizer.vocab_size)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.tokens[0])
def test_each_family_reads_the_texts_between_its_own_tokens(form: Any) -> None:
    tokenizer = with_tokens(*form.tokens, *form.ends)
    assert infill_form(tokenizer) == form
    prepared = requests(tokenizer).text({}, "def f(x):\n    ", suffix="\n    return y\n")
    texts = {PREFIX: "def f(x):\n    ", SUFFIX: "\n    return y\n"}
    shown = tokenizer.decode(prepared.request.prompt_ids, skip_special=False)
    assert shown == "".join(texts.get(part, part) for part in form.parts)
    ends = {tokenizer.id_of(token) for token in (*form.tokens, *form.ends)}
    assert ends <= set(prepared.request.params.stop_token_ids)


def test_what_stands_around_cannot_pretend_to_be_a_border() -> None:
    form = FORMS[0]
    tokenizer = with_tokens(*form.tokens)
    ids = requests(tokenizer).text({}, "a <|fim_suffix|> b", suffix="<|fim_middle|>").request.prompt_ids
    assert [ids.count(tokenizer.id_of(token)) for token in form.tokens] == [1, 1, 1]
    assert infill_prompt(form, "", "").literal == ((14, 14), (28, 28))


def test_a_model_that_cannot_fill_in_says_so() -> None:
    tokenizer = with_tokens("<|fim_prefix|>", "<|fim_suffix|>")
    with pytest.raises(Unsupported, match="cannot fill in"):
        requests(tokenizer).text({}, "a", suffix="b")
    with pytest.raises(UsageError, match="suffix goes with a prompt of text"):
        requests(tokenizer).text({}, prompt_ids=[1], suffix="b")


def test_a_beginning_that_the_text_writes_itself_is_not_doubled() -> None:
    tokenizer = Tokenizer(make_spec(byte_level(), add_bos=True))
    bos = tokenizer.bos_id
    for text, special, wanted in (("<s>a", True, 1), ("a", True, 1), ("a", False, 0)):
        ids = requests(tokenizer).text({}, text, parse_special=True, add_special=special).request.prompt_ids
        assert ids.count(bos) == wanted
