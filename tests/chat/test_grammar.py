"""What a grammar lets a model say: the masks are right, on every kind of vocabulary, and so is where they begin."""

from __future__ import annotations

import itertools
import json
import random
import threading
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from llguidance import LLMatcher

from hearth.chat.answer import AnswerBuilder
from hearth.chat.grammar import Grammars
from hearth.chat.grammar_constraint import AnswerConstraint, thinking_of
from hearth.chat.thinking import TAGS, ThinkingSplitter
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools import Choice, checked_tools
from hearth.chat.tools.hermes import Hermes
from hearth.engine import TokenEvent
from hearth.errors import HearthError, Unsupported

from .grammar_samples import SCHEMAS, allowed, constraint, ends_of, schema_format, walk
from .samples import Case, byte_level, make_spec, sentencepiece

PADDING = 45  # columns of the logits past the vocabulary
THINK = TAGS[0]
# Where only one text can follow, llguidance allows just the tokens that the tokenizer itself would write it with. For
# comparison this is switched off.
FREELY = '%llguidance {"no_forcing": true}\n'


@pytest.fixture(scope="module")
def grammars(case: Case) -> Grammars:
    return Grammars(case.ours, case.ours.vocab_size + PADDING)


@pytest.fixture(scope="module")
def small() -> Grammars:
    tokenizer = Tokenizer(make_spec(byte_level()))
    return Grammars(tokenizer, tokenizer.vocab_size + PADDING)


@pytest.mark.parametrize("make", [byte_level, sentencepiece])
def test_the_mask_is_what_every_token_one_by_one_says(make: Any) -> None:
    """The language is finite, so that a token may come exactly if some text goes on with its bytes."""
    tokenizer = Tokenizer(make_spec(make()))
    found = Grammars(tokenizer, tokenizer.vocab_size + PADDING)
    words = ["the", "that", " the", "naïve", "日本語", "a b c", ""]
    language = {f"{a}{b}{c}".encode() for a in words for b in (",", "the") for c in (".", "\n", "🙂", "")}
    lark = (
        FREELY
        + "start: A B C\nA: "
        + " | ".join(map(json.dumps, words))
        + '\nB: "," | "the"\nC: "." | "\\n" | "🙂" | ""'
    )
    for text in sorted(language)[::4]:
        walker = constraint(found, {"type": "grammar", "grammar": lark}, continues=True)
        said = b""
        for token in tokenizer.encode(text.decode())[1 if make is sentencepiece else 0 :]:
            expected = {
                i for i, b in enumerate(found.table.texts) if b and any(w.startswith(said + b) for w in language)
            }
            assert allowed(walker) == expected | (tokenizer.eos_ids if said in language else set())
            if token not in expected:
                break  # a spelling of the tokenizer's that starts with a space of its own
            walker.accept(token)
            said += tokenizer.token_bytes(token)


def test_a_token_may_come_exactly_if_its_bytes_may_one_by_one(small: Grammars) -> None:
    """An unbounded language: JSON. The bytes themselves are tokens here."""
    texts = small.table.texts
    byte_token = {text: i for i, text in enumerate(texts) if len(text) == 1}
    rng = random.Random(5)
    lark = f"{FREELY}start: %json {json.dumps(SCHEMAS['nested'])}"

    def begin() -> AnswerConstraint:
        return constraint(small, {"type": "grammar", "grammar": lark}, continues=True)

    for _ in range(6):
        ids = walk(small, begin(), rng) or []
        for at in rng.sample(range(len(ids)), min(4, len(ids))):

            def after(prefix: list[int]) -> AnswerConstraint:
                found = begin()
                for token in prefix:
                    found.accept(token)
                return found

            may = allowed(after(ids[:at]))
            for token in rng.sample([i for i, text in enumerate(texts) if len(text) > 1], 12):
                try:
                    after([*ids[:at], *(byte_token[bytes([b])] for b in texts[token])])
                except HearthError:
                    assert token not in may, texts[token]
                else:
                    assert token in may, texts[token]


@pytest.mark.parametrize("name", SCHEMAS)
def test_whatever_is_drawn_the_schema_holds(grammars: Grammars, name: str) -> None:
    tokenizer, rng = grammars.table.tokenizer, random.Random(name)
    validator = jsonschema_rs.validator_for(SCHEMAS[name])
    whole = 0
    for _ in range(8):
        ids = walk(grammars, constraint(grammars, schema_format(SCHEMAS[name])), rng)
        if ids is not None:
            whole += 1
            text = tokenizer.decode(ids)
            assert validator.is_valid(json.loads(text)), text
    assert whole >= 3


def test_padding_and_control_tokens_never_come(grammars: Grammars) -> None:
    tokenizer, rng = grammars.table.tokenizer, random.Random(1)
    found = constraint(grammars, {"type": "regex", "regex": "(?s:.)*"}, continues=True)
    for _ in range(20):
        mask = found.mask()
        assert mask.shape == ((tokenizer.vocab_size + PADDING + 31) // 32,)
        may = allowed(found)
        assert max(may) < tokenizer.vocab_size
        assert may & tokenizer.control_ids <= ends_of(grammars)
        found.accept(rng.choice(sorted(may - ends_of(grammars))))


def test_the_answer_may_end_exactly_where_it_is_whole(small: Grammars) -> None:
    tokenizer = small.table.tokenizer
    ends = {tokenizer.control["<|im_end|>"], tokenizer.control["<|endoftext|>"]}
    found = constraint(small, {"type": "regex", "regex": "ab?"}, end_ids=ends)
    a, b = (tokenizer.encode(c)[0] for c in "ab")
    assert allowed(found) == {a}
    with pytest.raises(HearthError, match="may not end"):
        constraint(small, {"type": "regex", "regex": "ab?"}, end_ids=ends).accept(min(ends))
    found.accept(a)
    assert allowed(found) == {b} | ends
    found.accept(b)
    assert allowed(found) == ends
    found.accept(max(ends))


def test_a_token_that_is_not_allowed_is_refused(small: Grammars) -> None:
    found = constraint(small, {"type": "json_object"})
    with pytest.raises(HearthError):
        found.accept(small.table.tokenizer.encode("x")[0])


def test_a_sentencepiece_answer_may_begin_with_a_word_as_the_model_writes_it() -> None:
    """The first token's space is not shown, so the grammar does not see it either."""
    tokenizer = Tokenizer(make_spec(sentencepiece()))
    found = Grammars(tokenizer, tokenizer.vocab_size)
    first = tokenizer.encode("the")
    assert tokenizer.token_bytes(first[0])[:1] == b" "
    ids = [*first, tokenizer.control["<|im_end|>"]]
    for continues in (False, True):
        walker = constraint(found, {"type": "regex", "regex": "the"}, continues=continues)
        assert (ids[0] in allowed(walker)) is not continues
    walker = constraint(found, {"type": "regex", "regex": "the"})
    for token in ids:
        assert token in allowed(walker)
        walker.accept(token)


# -- thinking ----------------------------------------------------------------------------------------------------------


def say(found: AnswerConstraint, tokenizer: Tokenizer, text: str) -> None:
    for token in tokenizer.encode(text, add_special=False):
        assert token in allowed(found), tokenizer.token_text(token)
        found.accept(token)


def test_thinking_is_free_and_the_grammar_begins_after_it(small: Grammars) -> None:
    tokenizer = small.table.tokenizer
    found = constraint(small, {"type": "regex", "regex": "yes|no"}, inside=THINK)
    say(found, tokenizer, "hm, {7 < 8}?\n")
    assert not allowed(found) & tokenizer.eos_ids, "no end inside of a thought"
    say(found, tokenizer, "</think>\n\n")
    assert not allowed(found) & {tokenizer.encode("h")[0], *tokenizer.eos_ids}
    say(found, tokenizer, "yes")
    assert allowed(found) == tokenizer.eos_ids


def test_a_model_may_begin_to_think_or_answer_at_once(small: Grammars) -> None:
    tokenizer = small.table.tokenizer
    for text in ("<think>7 < 8</think> \nyes", "yes"):
        found = constraint(small, {"type": "regex", "regex": "yes|no"}, may_open=[THINK])
        say(found, tokenizer, text)
        assert allowed(found) == tokenizer.eos_ids
    found = constraint(small, {"type": "regex", "regex": "yes|no"})
    assert tokenizer.id_of("<think>") not in allowed(found)


def test_an_answer_may_begin_as_a_tag_does() -> None:
    """Here the tags are no tokens, and `<` may begin both."""
    tokenizer = Tokenizer(make_spec(sentencepiece()))
    found = Grammars(tokenizer, tokenizer.vocab_size)
    spelled = {
        t.decode(): i
        for i, t in enumerate(found.table.texts)
        if t in (b"<", b">", b"/", *(bytes([c]) for c in b"thinky"))
    }
    for text in ("<think>k</think>ty", "<ty", "ty", "<thin"):
        walker = constraint(found, {"type": "regex", "regex": "<?ty|<thin"}, may_open=[THINK], continues=True)
        for char in text:
            assert spelled[char] in allowed(walker), (text, char)
            walker.accept(spelled[char])
        assert allowed(walker) & tokenizer.eos_ids, text


@pytest.mark.parametrize("where", ["inside", "may_open"])
def test_what_is_shown_after_any_thought_follows_the_schema(grammars: Grammars, where: str) -> None:
    """Grammar and splitter agree on where the answer begins, whatever tokens are drawn."""
    tokenizer, rng, whole = grammars.table.tokenizer, random.Random(3), 0
    options: dict[str, Any] = {"inside": THINK} if where == "inside" else {"may_open": [THINK]}
    close = tokenizer.encode("</think>\n", add_special=False)
    for _ in range(6):
        found = constraint(grammars, schema_format(SCHEMAS["person"]), **options)
        builder = AnswerBuilder(
            tokenizer,
            end_ids=ends_of(grammars),
            splitter=ThinkingSplitter("<think>" if where == "inside" else ""),
        )
        ids = [] if where == "inside" else tokenizer.encode("<think>", add_special=False)
        for token in ids:
            found.accept(token)
        thought = [rng.choice(sorted(allowed(found))) for _ in range(5)]
        for token in [*thought, *close]:
            found.accept(token)
        drawn = walk(grammars, found, rng)
        for token in [*ids, *thought, *close, *(drawn or [])]:
            builder.push(TokenEvent(id=0, token=token))
        builder.cancel()
        if drawn is not None:
            whole += 1
            assert builder.completion is not None
            assert jsonschema_rs.is_valid(SCHEMAS["person"], json.loads(builder.completion.text))
    assert whole >= 2


def test_where_a_chat_may_think() -> None:
    template = "... <think> ... </think> ..."
    assert thinking_of("<|im_start|>assistant\n<think>\n", template) == (THINK, ())
    assert thinking_of("<|im_start|>assistant\n", template) == (None, (THINK,))
    assert thinking_of("<|im_start|>assistant\n<think>\n\n</think>\n\n", template) == (None, ())
    assert thinking_of("<|im_start|>assistant\n", "{{ messages }}") == (None, ())


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_marker_that_is_a_token_of_plain_text_begins_a_call(choice: Any) -> None:
    """As Qwen has it: `<tool_call>` is one token, but not declared a control token."""
    raw = byte_level()
    raw.add_tokens(["<tool_call>", "</tool_call>"])
    tokenizer = Tokenizer(make_spec(raw))
    tools = checked_tools([{"type": "function", "function": {"name": "f", "parameters": SCHEMAS["person"]}}])
    lark = Hermes(tokenizer.control).grammar(tools, Choice(choice))
    found = Grammars(tokenizer, tokenizer.vocab_size)
    matcher = found.matcher(LLMatcher.grammar_from_lark(lark), "tools")
    walker = AnswerConstraint(matcher, end_ids=tokenizer.eos_ids)
    call = '{"name": "f", "arguments": {"name": "a", "age": 7, "tags": ["red"]}}'
    ids = tokenizer.encode(f"<tool_call>\n{call}\n</tool_call>")
    assert ids[0] == tokenizer.id_of("<tool_call>")
    for token in ids:
        assert token in allowed(walker), tokenizer.token_text(token)
        walker.accept(token)
    assert allowed(walker) & tokenizer.eos_ids


# -- one model, many requests ------------------------------------------------------------------------------------------


def test_requests_do_not_disturb_each_other(small: Grammars) -> None:
    """The same compiled grammar serves answers that stand in different places, from several threads."""
    tokenizer = small.table.tokenizer
    failures: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            for name in itertools.islice(itertools.cycle(SCHEMAS), seed, seed + 5):
                ids = walk(small, constraint(small, schema_format(SCHEMAS[name])), random.Random(seed))
                if ids is not None:
                    assert jsonschema_rs.is_valid(SCHEMAS[name], json.loads(tokenizer.decode(ids)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_valid_json_stays_as_it_is(grammars: Grammars) -> None:
    """What a model would have said anyway is allowed token for token: compact, or pretty-printed where asked."""
    tokenizer = grammars.table.tokenizer
    value = {"name": 'Zoë \\ "x"', "age": 7, "tags": ["red", "blau ü"]}
    for indent in (None, 2, 4, "\t"):
        text = json.dumps(value, indent=indent, ensure_ascii=indent == 4)
        free: dict[str, Any] = {"type": "json_object"}
        for wanted in (schema_format(SCHEMAS["person"]), free) if indent != 4 else (free,):
            found = constraint(grammars, wanted if indent is None else {**wanted, "whitespace": "pretty"})
            for token in tokenizer.encode(text, add_special=False):
                assert token in allowed(found), (text, tokenizer.token_text(token))
                found.accept(token)
            assert ends_of(grammars) <= allowed(found)


def test_a_model_whose_answers_never_end_is_told_so() -> None:
    raw = byte_level()
    tokenizer = Tokenizer(make_spec(raw, eos_ids=()))
    tokenizer.control_ids = frozenset()
    with pytest.raises(Unsupported, match="grammar"):
        Grammars(tokenizer, tokenizer.vocab_size)


def test_masks_are_int32_words(small: Grammars) -> None:
    mask = constraint(small, {"type": "json_object"}).mask()
    assert mask.dtype == np.int32
    assert mask.flags.c_contiguous
