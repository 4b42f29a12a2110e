"""The command itself: help, exit codes, and one clear message for whatever goes wrong."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hearth.cli import main as main_module
from hearth.cli.main import VERBS, cli, run
from hearth.errors import ContextFull, HearthError, NotEnoughMemory, TemplateError


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run([*arguments, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, verb)
    assert "Example:" in text
    assert f"hearth {verb}" in text.split("Example:")[1]
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"--{parameter.name} says nothing"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_the_options_that_it_offers(verb: str) -> None:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    assert command.callback is not None
    takes = inspect.signature(command.callback).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        assert {parameter.name for parameter in command.params if parameter.expose_value} == set(takes)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys)
    for verb, what in VERBS.items():
        assert verb in text
        assert what in text


def test_without_a_verb_the_help_is_shown_and_nothing_is_called_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: hearth [OPTIONS] VERB ...")
    assert "Error" not in err


def test_help_does_not_wait_for_heavy_libraries() -> None:
    script = (
        "import sys; from hearth.cli.main import run; run(['--help']); "
        "print([m for m in ('numpy', 'tvm', 'tokenizers', 'jinja2', 'rich', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_runs_models_is_imported_where_the_compiler_is_not() -> None:
    doors = ("embedder", "vision", "graph", "llm", "async_llm", "server.app", "batch", "store", "cli.embed")
    imports = "; ".join(f"import hearth.{door}" for door in doors)
    script = f"import sys; sys.modules['tvm'] = None; {imports}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("doctor")
    def command() -> None:
        raise error

    monkeypatch.setattr(main_module._Verbs, "get_command", lambda *_: command)


@pytest.mark.parametrize("kind", [HearthError, NotEnoughMemory, ContextFull, TemplateError])
def test_errors_say_what_why_and_what_to_do(
    kind: type[HearthError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, kind("It broke.", why="It was thin.", hint="Take a thicker one."))
    assert run(["doctor"]) == kind.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Error: It broke.\nWhy: It was thin.\nTry: Take a thicker one.\n"


def test_the_unexpected_is_short_and_can_be_looked_into(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, ZeroDivisionError("oops"))
    assert run(["doctor"]) == main_module.EXIT_UNEXPECTED
    err = capsys.readouterr().err
    assert "ZeroDivisionError: oops" in err
    assert "Traceback" not in err
    assert "HEARTH_DEBUG=1" in err
    monkeypatch.setenv("HEARTH_DEBUG", "1")
    run(["doctor"])
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_exits_as_shells_expect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, KeyboardInterrupt())
    assert run(["doctor"]) == 130
    assert "Nothing half-written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "starter", "hi", "--max-tokens", "0"], "Error: --max-tokens is 0, but must be"),
        (["ask", "starter", "hi", "-t", "1000"], "Error: --temperature is 1000.0, but must be"),
        (["ask", "starter", "hi", "--threads", "0"], "Error: --threads is 0, but must be"),
        (["serve", "--max-seqs", "0"], "Error: --max-seqs is 0, but must be"),
        (["serve", "--timeout", "-1"], "Error: --timeout is -1.0 seconds, but must be"),
        (["bench", "starter", "--repeat", "0"], "Error: --repeat is 0, but must be"),
    ],
)
def test_a_value_out_of_range_is_told_by_the_option_that_was_typed(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frob"], "There is no verb"),
        (["ask"], "Missing argument"),
        (["ask", "m", "--temperature", "hot"], "not a valid float"),
        (["ask", "m", "x", "--quant", "q3"], "q4a"),
        (["eval", "m"], "Missing argument"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["list"], ["doctor"], ["list", "--json"], ["--help"]])
def test_an_output_that_cannot_be_written_is_no_mistake_of_hearths(arguments: list[str], tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from hearth.cli.main import main; main()", *arguments]
    environment = {**os.environ, "HEARTH_CACHE": str(tmp_path), "HF_HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (done.returncode, "cannot be written" in done.stderr) == (7, True), done.stderr
    assert "mistake in Hearth" not in done.stderr
    assert "Traceback" not in done.stderr
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *program], stderr=subprocess.PIPE, text=True, check=False, env=environment
    )
    assert (closed.returncode, "is closed" in closed.stderr) == (7, True), closed.stderr


def test_exit_codes_are_documented() -> None:
    table = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
    codes = {kind.exit_code for kind in HearthError.__subclasses__()} | {main_module.EXIT_UNEXPECTED}
    assert [code for code in sorted(codes) if f"\n| {code} | " not in table] == []


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hearth")
