"""A verb or an option that there is not leads to the one that was meant."""

from __future__ import annotations

import pytest

from hearth.cli.main import run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lst"], "Did you mean hearth list"),
        (["chta"], "Did you mean hearth chat"),
        (["frobnicate"], "`hearth help` lists the verbs."),
        (["stop"], "`hearth ps` shows"),
        (["quantize", "x"], "hearth compile MODEL --quant q4"),
        (["chat", "starter", "--model", "x"], "The model stands behind the verb, without an option: hearth chat MODEL"),
        (["ask", "starter", "x", "--temp", "0"], "Did you mean --temperature?"),
        (["ask", "starter", "x", "--ctx-size", "9"], "Did you mean --context?"),
        (["ask", "starter", "x", "--ngl", "99"], "Did you mean --gpu-layers?"),
        (["embed", "starter", "x", "--ngl", "99"], "Hearth computes on the processor"),
        (["ask", "starter", "x", "--temperatur", "0"], "--temperature"),
        (["ask", "starter", "x", "--zzzz"], "`hearth ask --help` lists the options."),
        (["starer"], "A verb stands before the model: hearth chat starter"),
        (["Qwen/Qwen3-0.6B"], "A verb stands before the model: hearth chat Qwen/Qwen3-0.6B"),
        (["./model.gguf"], "A verb stands before the model: hearth chat ./model.gguf"),
        (["version"], "hearth --version"),
        (["--offline", "chat"], "The options of a verb stand behind it: hearth VERB --offline"),
        (["-v"], "Did you mean --version?"),
        (["help", "lst"], "Did you mean hearth list"),
    ],
)
def test_what_was_meant_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert said in err


@pytest.mark.parametrize("arguments", [["help"], ["help", "chat"], ["help", "ls"], ["ls", "--help"], ["run", "--help"]])
def test_verbs_of_other_programs_work(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert "Usage: hearth" in capsys.readouterr().out


def test_the_version_names_platform_and_compiler(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    out = capsys.readouterr().out
    assert "Python 3." in out
    assert "TVM" in out or "no compiler" in out
