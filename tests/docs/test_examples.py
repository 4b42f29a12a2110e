"""Every Python example of the documents runs, from the top of its page to the bottom.

A comment in the line before a block says what it needs: `<!-- needs a server -->` runs it with a server behind the
address that it names; `<!-- not run: ... -->` only compiles it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hearth import LLM
from server.running import running

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(page for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")] if "```python" in page.read_text())
_BLOCK = re.compile(r"^(?:<!-- (?P<need>[^\n]*) -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A Python example.

    Attributes:
        need: what the comment before it says; "" without one.
        line: where its code begins.
    """

    code: str
    need: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    assert len(found) == text.count("```python\n"), "a block that is not seen"
    return [Block(m["code"], m["need"] or "", text.count("\n", 0, m.start("code"))) for m in found]


@contextlib.contextmanager
def server_url() -> Iterator[str]:
    from hearth.server.models import Models, ModelSettings

    with running(Models(["starter"], ModelSettings(threads=1, offline=True)), load=["starter"]) as server:
        yield server.url


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run_from_top_to_bottom(
    page: Path, starter: LLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.ExitStack() as stack:
        url = ""
        for block in blocks(page):
            code = block.code
            if block.need == "needs a server":
                url = url or stack.enter_context(server_url())
                code = code.replace("http://127.0.0.1:8000", url)
            compiled = compile("\n" * block.line + code, str(page), "exec", dont_inherit=True)
            if block.need.startswith("not run: "):
                continue
            assert block.need in ("", "needs a server"), f"nobody knows what {block.need!r} is"
            exec(compiled, names)
    for llm in names.values():
        if isinstance(llm, LLM):
            llm.close()
