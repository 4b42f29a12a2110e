"""Thinking is switched under whatever name a template reads; what cannot be switched is said, never ignored."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.chat.request import Requests
from hearth.chat.switches import EFFORTS
from hearth.chat.template import ChatTemplate
from hearth.chat.tokenizer import Tokenizer

from .samples import byte_level, make_spec

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
# What a template does with its switch -> what it is given for thinking on and off.
SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}": (
        {"enable_thinking": True},
        {"enable_thinking": False},
    ),
    "{% if thinking %}Think in <think></think>.{% endif %}": ({"thinking": True}, {"thinking": False}),
    "{% if not thinking is defined %}{% set thinking = enable_thinking | default(false) %}{% endif %}{{ thinking }}": (
        {"enable_thinking": True, "thinking": True},
        {"enable_thinking": False, "thinking": False},
    ),
    "{% if thinking_mode == 'disabled' %}</think>{% elif thinking_mode == 'enabled' %}<think>{% endif %}": (
        {"thinking_mode": "enabled"},
        {"thinking_mode": "disabled"},
    ),
    "{% if thinking_budget == 0 %}No thinking.{% endif %}": ({"thinking_budget": -1}, {"thinking_budget": 0}),
    "{% if reasoning_effort not in ['high', 'no_think'] %}{{ raise_exception('Which?') }}{% endif %}"
    "{{ reasoning_effort }}": ({"reasoning_effort": "high"}, {"reasoning_effort": "no_think"}),
}
ECHOES = "Reasoning: {{ reasoning_effort | default('medium') }}."
SOME = "{% if reasoning_effort == 'max' %}Think hard.{% endif %}{% if thinking %}<think>{% endif %}"
STRICT = (
    "{% if thinking_effort | default('low') not in ['low', 'high'] %}{{ raise_exception('Which?') }}{% endif %}"
    "{{ thinking_effort }}{% if not enable_thinking | default(true) %}</think>{% endif %}"
)


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source + TURNS, special={})


@pytest.mark.parametrize("source", SWITCHES)
def test_the_switch_is_found_under_its_name(source: str) -> None:
    switches = template(source).thinking
    assert switches.can_switch
    assert (switches.variables(True), switches.variables(False)) == SWITCHES[source]
    assert switches.effort("none") == switches.variables(False)
    assert switches.notice(True) == switches.notice(False) == ""


@pytest.mark.parametrize("source", ["{{ enable_thinking if false }}", "{# thinking #}", ECHOES, "<think>"])
def test_a_name_that_changes_nothing_is_no_switch(source: str) -> None:
    switches = template(source).thinking
    assert not switches.can_switch
    assert switches.variables(False) == {}


def test_what_cannot_be_switched_is_said() -> None:
    always, never = template("<think>").thinking, template("").thinking
    assert "cannot switch thinking off" in always.notice(False)
    assert always.notice(True) == ""
    assert "no switch for thinking" in never.notice(True)
    assert never.notice(False) == ""
    assert (always.effort("none"), always.effort("high")) == (None, {})
    assert (never.effort("none"), never.effort("high")) == ({}, None)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (ECHOES, {"none": None, "minimal": "low", "low": "low", "high": "high", "xhigh": "high", "max": "high"}),
        (STRICT, {"low": "low", "medium": "high", "high": "high", "max": "high"}),
        (SOME, {"low": None, "medium": None, "max": "max"}),
    ],
)
def test_an_effort_is_the_nearest_that_the_template_knows(source: str, wanted: dict[str, str | None]) -> None:
    switches = template(source).thinking
    for level, given in wanted.items():
        variables = switches.effort(level)
        found = None if variables is None else variables.get("reasoning_effort", variables.get("thinking_effort"))
        assert found == given, level


@pytest.mark.parametrize("source", [*SWITCHES, ECHOES, STRICT, SOME, "", "<think>"])
def test_no_effort_makes_a_template_fail(source: str) -> None:
    made = template(source)
    for level in EFFORTS:
        variables = made.thinking.effort(level)
        if variables is not None:
            assert made.render([{"role": "user", "content": "Hi"}], **variables).text.endswith("<user>Hi<assistant>")


def prompt_and_notices(source: str, **settings: Any) -> tuple[str, tuple[str, ...]]:
    made = Tokenizer(make_spec(byte_level(), chat_template=source + TURNS))
    prepared = Requests("x", made, published={}, vocab_size=400).chat(
        [{"role": "user", "content": "Hi"}], {}, **settings
    )
    return made.decode(prepared.request.prompt_ids, skip_special=False), prepared.notices


def test_a_chat_is_asked_to_think_and_says_where_that_is_not_possible() -> None:
    granite = "{% if thinking %}Think in <think></think>.{% endif %}"
    assert prompt_and_notices(granite, thinking=True) == ("Think in <think></think>.<user>Hi<assistant>", ())
    assert prompt_and_notices(granite, thinking=False) == ("<user>Hi<assistant>", ())
    own = {"template_variables": {"thinking": True}}
    assert prompt_and_notices(granite, thinking=False, **own)[0].startswith("Think")
    text, (notice,) = prompt_and_notices("", thinking=True)
    assert text == "<user>Hi<assistant>"
    assert "thinking" in notice
