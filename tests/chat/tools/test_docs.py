"""The examples of docs/tools.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hearth import LLM


def test_the_examples_of_the_page_run(starter: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs/tools.md").read_text()
    first, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"llm": starter}
    exec(first, names)  # opens the starter by itself, from the cache
    assert names["messages"][-1]["role"] == "tool"
    assert '"forecast"' in names["messages"][-1]["content"]
    assert capsys.readouterr().out.strip()
    names["llm"], names["messages"] = starter, names["messages"][:1]
    exec(second, names)
    assert capsys.readouterr().out.strip()
