"""A template is asked what it does; words in its source say too little."""

from __future__ import annotations

from hearth.chat.probe import ARGUMENT, RESULT, TOOL_NAME, VALUE
from hearth.chat.template import ChatTemplate

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
CALLS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}<call>"
    "{{ c.function | tojson }}</call>{% endfor %}{% endfor %}"
)


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, special={"bos_token": "<s>"})


def test_tools_are_found_under_the_name_that_the_template_shows_them_by() -> None:
    assert template("{{ tools | tojson }}" + TURNS).probe.tools_variable == "tools"
    assert template("{{ xml_tools | tojson }}{% if tools %}x{% endif %}" + TURNS).probe.tools_variable == "xml_tools"
    assert template("{% if tools %}Tools are not for me.{% endif %}" + TURNS).probe.tools_variable is None
    assert template("{# tools #}" + TURNS).probe.tools is None


def test_a_call_is_what_stands_after_the_question() -> None:
    call = template("{{ tools | tojson }}<tool_call>an example</tool_call>" + CALLS).probe.call
    assert call is not None
    assert "an example" not in call
    assert all(word in call for word in (TOOL_NAME, ARGUMENT, VALUE, RESULT))
    assert template("{{ tools | tojson }}" + TURNS).probe.call is None


def test_variables_are_those_that_a_template_reads_from_outside() -> None:
    read = template(
        "{% if not x is defined %}{% set x = y %}{% endif %}{% set z = 1 %}{{ z }}{{ bos_token }}"
    ).variables
    assert read == {"x", "y", "bos_token"}
