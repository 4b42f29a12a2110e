"""`hearth embed`, `hearth rerank` and `hearth classify` as a user types them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import Encoders
from tests.encoding.lettered import lettered

from hearth.cli.main import run

OPTIONS = ("--quant", "f32", "--precision", "high", "--threads", "2", "--offline")


@pytest.fixture(scope="module")
def models(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("bert", "bert-rank", "distilbert"):
        lettered(name, folder / name)
    return folder


def test_vectors_as_lines_of_json_numbers_and_an_array(
    models: Path,
    encoders: Encoders,
    tmp_path: Path,
    capfdbinary: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = encoders("bert").embed(["cat", "a dog"])
    bert = str(models / "bert")
    assert run(["embed", bert, "cat", "a dog", *OPTIONS]) == 0
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(line["index"], line["text"]) for line in lines] == [(0, "cat"), (1, "a dog")]
    assert np.allclose([line["embedding"] for line in lines], expected, atol=1e-6)

    file = tmp_path / "texts.txt"
    file.write_text("cat\n\na dog\n")
    assert run(["embed", bert, str(file), "--format", "plain", *OPTIONS]) == 0
    plain = [[float(x) for x in line.split()] for line in capfdbinary.readouterr().out.splitlines()]
    assert np.allclose(plain, expected, atol=1e-6)

    (tmp_path / "texts.jsonl").write_text('"cat"\n{"text": "a dog"}\n')
    output = tmp_path / "vectors.npy"
    command = ["embed", bert, str(tmp_path / "texts.jsonl"), "--format", "npy", "-o", str(output), *OPTIONS]
    assert run(command) == 0
    assert np.allclose(np.load(output), expected, atol=1e-6)

    monkeypatch.setattr("sys.stdin", io.StringIO("cat\na dog\n"))
    assert run(["embed", bert, "-", *OPTIONS]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 2


def test_documents_and_labels(models: Path, encoders: Encoders, capfd: Any) -> None:
    expected = encoders("bert-rank").rerank("who", ["cat", "a dog"])
    assert run(["rerank", str(models / "bert-rank"), "who", "cat", "a dog", "--json", *OPTIONS]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["index"] for line in lines] == [one.index for one in expected]
    assert run(["classify", str(models / "distilbert"), "cat", *OPTIONS]) == 0
    best = encoders("distilbert").classify(["cat"])[0][0]
    assert capfd.readouterr().out.splitlines()[1].split() == [best.label, f"{best.score:.4f}", "0", "cat"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["embed", "bert", "abc" * 40], 9, "--truncate"),
        (["embed", "bert", "cat", "--dimensions", "5"], 2, "--dimensions is 5"),
        (["embed", "bert-rank", "cat"], 2, "makes no vectors"),
        (["rerank", "bert", "who", "cat"], 2, "ranks no documents"),
        (["chat", "bert"], 5, "hearth embed"),
    ],
)
def test_what_goes_wrong_says_what_to_do(
    models: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, says: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    verb, model, *rest = arguments
    options = OPTIONS if verb != "chat" else ("--offline",)
    assert run([verb, str(models / model), *rest, *options]) == code
    assert says in capfd.readouterr().err


def test_a_text_that_is_refused_leaves_the_file_that_was_there(models: Path, tmp_path: Path, capfd: Any) -> None:
    output = tmp_path / "vectors.jsonl"
    output.write_text("older")
    assert run(["embed", str(models / "bert"), "cat", "abc" * 40, "-o", str(output), *OPTIONS]) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.jsonl"]
    assert output.read_text() == "older"
    assert run(["embed", str(models / "bert"), "cat", "-o", str(output), *OPTIONS]) == 0
    assert json.loads(output.read_text())["text"] == "cat"
    assert run(["embed", str(models / "bert"), "cat", "-o", "/dev/null", *OPTIONS]) == 0
    assert Path("/dev/null").is_char_device()
