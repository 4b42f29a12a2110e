"""Answers that no screen was made for: models that repeat themselves write them, and so do files that mean harm."""

from __future__ import annotations

from typing import Any

import pytest

from server.running import Running

from .conftest import OpenWindow
from .steps import answers, expect

END = "The end of the answer."


def nested(opening: str, levels: int, inside: str = "x", closing: str = "}") -> str:
    return opening * levels + inside + closing * levels


ANSWERS = {
    "fractions in fractions": f"$${nested(chr(92) + 'frac{1}{', 150)}$$",
    "roots of roots": f"$${nested(chr(92) + 'sqrt{', 200)}$$",
    "powers of powers": f"$${nested('x^{', 200)}$$",
    "boxes in boxes": f"$${nested(chr(92) + 'boxed{', 120)}$$",
    "matrices in matrices": f"$${nested(chr(92) + 'begin{matrix}', 120, 'x', chr(92) + 'end{matrix}')}$$",
    "a command that stands for a million signs": "$$\\def\\a{" + "x" * 3000 + "}" + "\\a" * 290 + "$$",
    "a thousand formulas": "$a_1$ and $b$ " * 1000,
    "a wide matrix": "$$\\begin{matrix}" + "a&" * 1900 + "\\end{matrix}$$",
    "quotes in quotes": ">" * 2000 + " x",
    "stairs of quotes": "\n".join(">" * level + " a\nb" for level in range(500)),
    "lists in lists": "- " * 1000 + "x",
    "a stair of lists": "\n".join("  " * level + "- a" for level in range(500)),
    "rules": "---\n" * 20_000,
    "dollars": "$a" * 40_000,
    "stars": "*a_" * 20_000,
    "brackets": "[a](" * 20_000,
    "a table of a million cells": "|a" * 3000 + "|\n" + "|-" * 3000 + "|\n" + "|\n" * 9000,
    "tags in tags": "<b>" * 3000 + "x",
    "quotes in quotes in HTML": "<blockquote>" * 3000 + "x",
    "lists in lists in HTML": "<ul><li>" * 3000 + "x",
    "folded in folded": "<details><summary>a</summary>" * 3000,
    "paragraphs": "word\n\n" * 20_000,
    "a long list": "- a\n" * 20_000,
    "code": ("```python\n" + "x = f('a')\n" * 2500 + "```\n") * 10,
    "one word": "a" * 400_000,
}


@pytest.mark.parametrize("answer", [pytest.param(text, id=name) for name, text in ANSWERS.items()])
def test_an_answer_that_goes_too_far_is_shown_and_the_page_goes_on(
    app: Running, open_window: OpenWindow, answer: str
) -> None:
    messages = [{"role": "user", "content": "Go on"}, {"role": "assistant", "content": f"Begin.\n\n{answer}\n\n{END}"}]
    talk = {"format": "hearth-conversation", "version": 1, "model": "starter", "system": "", "messages": messages}
    id = app.http.post("/api/conversations/import", json=talk).raise_for_status().json()["id"]
    page: Any = open_window(f"/#/c/{id}").page
    expect(answers(page).last).to_contain_text("Begin.", timeout=30_000)
    expect(answers(page).last).to_contain_text(END)
    page.wait_for_timeout(300)  # in which a formula may be drawn, and laid out
    assert page.evaluate("document.fonts.ready.then(() => document.body.offsetHeight)") > 0
    page.get_by_label("Message", exact=True).fill("still here")
    expect(page.get_by_label("Message", exact=True)).to_have_value("still here")
