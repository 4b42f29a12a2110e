"""`hearth ask --json-schema` and `--grammar`: the answer is of that form; a file that is of none is told, code 2."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run

QUESTION = ("ask", "starter", "What is the capital of France?")


def test_the_answer_follows_the_file(hearth: Run, tmp_path: Path) -> None:
    schema, grammar = tmp_path / "schema.json", tmp_path / "answer.lark"
    schema.write_text(json.dumps({"enum": ["Paris", "Rome", 7]}))
    grammar.write_text('start: "It is " ("Paris" | "Rome") "!"')
    done = hearth(*QUESTION, "--json-schema", str(schema))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) in ("Paris", "Rome", 7)
    assert hearth(*QUESTION, "--grammar", str(grammar)).stdout in ("It is Paris!\n", "It is Rome!\n")


def test_a_file_that_cannot_be_used_is_told_before_the_model_is_opened(hearth: Run, tmp_path: Path) -> None:
    broken, wrong, grammar = tmp_path / "broken.json", tmp_path / "wrong.json", tmp_path / "answer.lark"
    grammar.write_text("hello")
    broken.write_text("{")
    wrong.write_text(json.dumps({"properties": {"a": {"type": "strin"}}}))
    for file, why, code in (
        (broken, "is not JSON", 2),
        (wrong, "wrong.json: properties.a.type is 'strin'", 2),
        (tmp_path / "no", "cannot be read", 7),
    ):
        done = hearth("ask", "no/such-model", "Hello", "--json-schema", str(file))
        assert done.returncode == code
        assert why in done.stderr
    told = hearth(*QUESTION, "--grammar", str(grammar)).stderr
    assert f"{grammar} cannot be used." in told
    assert "response_format" not in told, "nobody typed that"
    both = hearth(*QUESTION, "--json-schema", str(wrong), "--grammar", str(wrong))
    assert both.returncode == 2
    assert "both given" in both.stderr
