"""What a bundle for pages says of how its model calls tools."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hearth.chat.call_formats import call_formats
from hearth.chat.tokenizer import Tokenizer

from .families import FAMILIES
from .family import Family
from .test_detect import FOREIGN, TAUGHT_HERMES

PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.template], ids=lambda family: family.id)
def test_a_template_s_format_is_told_by_its_name(family: Family, tokenizer: Tokenizer) -> None:
    formats = call_formats(replace(tokenizer.spec, chat_template=family.template))
    assert formats["default"] in (family.make({}).name, None)
    if family.make({}).name in ("hermes", "mistral", "llama3"):  # which pages read
        assert formats["default"] is not None


def test_templates_have_a_format_each(tokenizer: Tokenizer) -> None:
    named = {"tool_use": TAUGHT_HERMES, "broken": "{% if %}", **FOREIGN}
    formats = call_formats(replace(tokenizer.spec, chat_template=PLAIN + "{# <tool_call> #}", named_templates=named))
    assert formats.pop("tool_use") == "hermes"
    assert set(formats.values()) == {None}
    assert set(formats) == {"default", "broken", *FOREIGN}


def test_a_model_without_a_template_has_none(tokenizer: Tokenizer) -> None:
    assert call_formats(tokenizer.spec) == {}
