"""What an editor and a type checker know of the Python interface."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from hearth import LLM, AsyncLLM

llm = LLM()
reveal_type(llm.chat("Hi", temperature=0.5))
reveal_type(llm.chat([{"role": "user", "content": "Hi"}], stream=True, seed=1))
reveal_type(llm.chat_many(["Hi"], max_tokens=5))
reveal_type(llm.generate(["Hi", "Ho"], stop=["."]))
llm.chat("Hi", temprature=0.5)
llm.chat("Hi", max_tokens="many")
llm.generate("Hi", thinking=True)


async def ask(llm: AsyncLLM) -> None:
    reveal_type(await llm.chat("Hi", top_p=0.5))
    async for chunk in llm.chat("Hi", stream=True):
        reveal_type(chunk)
    await llm.chat("Hi", top_pp=0.5)
"""
REVEALED = [
    "hearth.chat.completion.Completion",
    "hearth.chat.answer_stream.AnswerStream",
    "list[hearth.chat.completion.Completion]",
    "list[hearth.chat.completion.Completion]",
    "hearth.chat.completion.Completion",
    "hearth.chat.completion.Chunk",
]
WRONG = ("temprature", '"many"', "thinking=", "top_pp")


def test_settings_are_known_by_name_and_type(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = ["--cache-dir", str(ROOT / ".mypy_cache"), "--config-file", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    lines = [line for line in done.stdout.splitlines() if "program.py" in line]
    errors = {int(line.split(":")[1]) for line in lines if ": error:" in line}
    rows = enumerate(PROGRAM.splitlines(), 1)
    assert errors == {number for number, row in rows if any(mistake in row for mistake in WRONG)}, done.stdout
    revealed = [line.split('"')[1].replace("builtins.", "") for line in lines if "Revealed type" in line]
    assert revealed == REVEALED
