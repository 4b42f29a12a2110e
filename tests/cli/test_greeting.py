"""The greeting of `hearth serve`: its examples are ones that the model answers."""

from __future__ import annotations

import ast
import json
import shlex

import pytest

from hearth.cli.greeting import Shown, greeting

URL = "http://127.0.0.1:8000"


@pytest.mark.parametrize("with_key", [False, True])
@pytest.mark.parametrize(
    ("kind", "task", "route"),
    [
        (None, None, "/v1/chat/completions"),
        ("text", None, "/v1/chat/completions"),
        ("encoder", "embed", "/v1/embeddings"),
        ("encoder", "rank", "/v1/rerank"),
        ("vision", "detect", "/v1/vision"),
        ("vision", "zero_shot", "/v1/vision"),
    ],
)
def test_what_is_shown_fits_the_model(kind: str | None, task: str | None, route: str, with_key: bool) -> None:
    text = greeting(URL, [Shown('odd "name"', kind, task)], with_key=with_key)
    assert text.splitlines()[0] == f'Serving odd "name" at {URL}'
    python, _, shell = text.partition("From Python:\n")[2].partition("From a shell:\n")
    ast.parse("\n".join(line.removeprefix("  ") for line in python.splitlines()))
    assert ("YOUR KEY" in python) == with_key
    command = shlex.split(shell.partition("\n\nCtrl-C")[0].replace("\\\n", " "))
    assert command[1] == URL + route
    if "-d" in command:
        assert json.loads(command[command.index("-d") + 1])["model"] == 'odd "name"'
    assert ("labels=a cat, a dog" in command) == (task == "zero_shot")


def test_models_of_several_kinds_have_an_example_each() -> None:
    shown = [Shown("a", "text"), Shown("b", "vision", "depth"), Shown("c", "text"), Shown("d", "encoder", "tag")]
    text = greeting(URL, shown, with_key=False)
    assert text.startswith("Serving a, b, c, d at")
    assert (text.count("From a shell:"), text.count("/v1/chat/completions"), text.count("curl")) == (2, 1, 2)
