"""Whatever is said in a conversation reaches the model, whichever way its template takes contents and roles."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.chat.conversation import checked_messages
from hearth.chat.fit import fitted, with_text
from hearth.chat.template import ChatTemplate
from hearth.errors import UsageError

USER = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi."}
FIRST, SECOND = {"role": "system", "content": "Be brief."}, {"role": "system", "content": "Be kind."}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]}

TEXT_ONLY = {
    "prints": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}",
    "trims": "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}",
    "skips": "{% for m in messages %}<{{ m.role }}>{{ m.content if m.content is string }}{% endfor %}",
    "adds": "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}",
}
PARTS_ONLY = (
    "{% for m in messages %}<{{ m.role }}>{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)
BOTH = (
    "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}[{{ c.text | trim }}]{% endfor %}{% endif %}{% endfor %}"
)


def prompt(source: str, *messages: dict[str, Any]) -> str:
    template = ChatTemplate(source, special={})
    return template.render(fitted(with_text(checked_messages(messages), template.probe), template)).text


@pytest.mark.parametrize("kind", TEXT_ONLY)
def test_parts_reach_a_template_that_takes_text(kind: str) -> None:
    assert prompt(TEXT_ONLY[kind], PARTS) == "<user>Hello\nthere"
    assert prompt(TEXT_ONLY[kind], {**PARTS, "role": "system"}, USER) == "<system>Hello\nthere<user>Hello"


def test_text_reaches_a_template_that_takes_parts() -> None:
    assert prompt(PARTS_ONLY, FIRST, USER, ANSWER, USER) == "<system>Be brief.<user>Hello<assistant>Hi.<user>Hello"
    assert prompt(PARTS_ONLY, PARTS) == "<user>Hellothere"


def test_a_template_that_takes_both_gets_what_was_given() -> None:
    assert prompt(BOTH, USER) == "<user>Hello"
    assert prompt(BOTH, PARTS) == "<user>[Hello][there]"


def test_a_part_that_is_no_text_is_refused_where_only_text_is_taken() -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    with pytest.raises(UsageError, match=r"Message 2 has a part of type 'image_url'.*takes text only"):
        prompt(TEXT_ONLY["prints"], USER, picture)


@pytest.mark.parametrize("part", ["Hello", {}, {"type": 1}, {"type": "text"}, {"type": "text", "text": None}])
def test_a_part_has_a_type_and_its_text(part: object) -> None:
    with pytest.raises(UsageError, match="Message 1 has a part"):
        prompt(BOTH, {"role": "user", "content": [part]})


HEAD_ONLY = (
    "{% if messages[0].role == 'system' %}<system>{{ messages[0].content }}{% endif %}"
    "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
)
LAST_ONLY = (
    "{% set ns = namespace(s='') %}{% for m in messages if m.role == 'system' %}{% set ns.s = m.content %}{% endfor %}"
    "<system>{{ ns.s }}{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
)
NOWHERE = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
STRICT = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('No system') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}"
)


def test_two_system_messages_both_reach_the_model() -> None:
    both = "Be brief.\n\nBe kind."
    assert prompt(TEXT_ONLY["prints"], FIRST, SECOND, USER) == "<system>Be brief.<system>Be kind.<user>Hello"
    assert prompt(HEAD_ONLY, FIRST, SECOND, USER) == f"<system>{both}<user>Hello"
    assert prompt(LAST_ONLY, FIRST, SECOND, USER) == f"<system>{both}<user>Hello"
    assert prompt(NOWHERE, FIRST, SECOND, USER) == f"<user>{both}\n\nHello"
    assert prompt(STRICT, FIRST, SECOND, USER) == f"<user>{both}\n\nHello"


def test_a_system_message_in_the_middle_stands_before_what_the_user_says_next() -> None:
    for source in (HEAD_ONLY, NOWHERE, STRICT):
        assert prompt(source, USER, ANSWER, SECOND, USER) == "<user>Hello<assistant>Hi.<user>Be kind.\n\nHello"
    assert prompt(HEAD_ONLY, USER, SECOND) == "<user>Hello\n\nBe kind."
    assert prompt(HEAD_ONLY, FIRST, USER, ANSWER, SECOND) == "<system>Be brief.<user>Hello<assistant>Hi.<user>Be kind."
    kept = "<user>Hello<assistant>Hi.<system>Be kind.<user>Hello"
    assert prompt(TEXT_ONLY["prints"], USER, ANSWER, SECOND, USER) == kept


def test_the_blank_line_after_a_moved_system_prompt_survives_trimmed_parts() -> None:
    source = "{% if messages[0].role == 'system' %}{{ raise_exception('No system') }}{% endif %}" + BOTH
    assert prompt(source, FIRST, PARTS) == "<user>[Be brief.\n\nHello][there]"


def test_the_developer_is_the_system_where_a_template_does_not_know_that_role() -> None:
    developer = {"role": "developer", "content": "Be brief."}
    assert prompt(HEAD_ONLY, developer, USER) == "<system>Be brief.<user>Hello"
    assert prompt("{# developer #}" + TEXT_ONLY["prints"], developer, USER).startswith("<developer>")


@pytest.mark.parametrize("given", ["reasoning_content", "thinking", "reasoning"])
@pytest.mark.parametrize("read", ["reasoning_content", "thinking", "reasoning"])
def test_earlier_thoughts_reach_a_template_under_the_name_that_it_reads(given: str, read: str) -> None:
    source = (
        "{% for m in messages %}{% if m." + read + " %}({{ m." + read + " }}){% endif %}{{ m.content }}{% endfor %}"
    )
    assert prompt(source, USER, {**ANSWER, given: "Hm."}, USER) == "Hello(Hm.)Hi.Hello"


def test_what_is_none_is_not_there() -> None:
    """As a program gets its messages from `model_dump()` of a client's objects."""
    source = (
        "{% for m in messages %}{% if 'tool_calls' in m and m.tool_calls | length != 1 %}"
        "{{ raise_exception('one call only') }}{% endif %}{{ m.name | default('-') }}{{ m.content }}{% endfor %}"
    )
    dumped = {**ANSWER, "tool_calls": None, "refusal": None, "name": None}
    assert prompt(source, USER, dumped, USER) == "-Hello-Hi.-Hello"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "half \ud83d of a pair"},
        {"role": "user", "content": [{"type": "text", "text": "byte \udce9"}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "\udce9"}}]},
    ],
)
def test_half_a_character_is_refused_with_its_place(message: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"Message 2.*half of a character at position"):
        prompt(BOTH, USER, message)
