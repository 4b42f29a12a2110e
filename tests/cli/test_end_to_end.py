"""The commands of the README, as a user types them, on the real starter model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hearth import LLM

from .conftest import Run


def test_ask_prints_the_answer_alone(hearth: Run) -> None:
    done = hearth("ask", "starter", "What is the capital of France?")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout
    assert "\x1b" not in done.stdout


def test_ask_with_statistics_says_what_the_starter_is(hearth: Run) -> None:
    done = hearth("ask", "starter", "What is the capital of France?", "--stats")
    assert "prompt tokens" in done.stderr
    assert "not an assistant" in done.stderr
    assert "Paris" in done.stdout


def test_ask_from_a_pipe(hearth: Run) -> None:
    assert "Paris" in hearth("ask", "starter", stdin="What is the capital of France?\n").stdout
    assert "Paris" in hearth("ask", "starter", "What is the capital of France?", stdin=" \n").stdout
    nothing = hearth("ask", "starter")
    assert nothing.returncode == 2
    assert "no question" in nothing.stderr


def test_ask_as_json(hearth: Run) -> None:
    done = hearth("ask", "starter", "What is the capital of France?", "--json", "--temperature", "0", "-n", "50")
    answer = json.loads(done.stdout)
    assert "Paris" in answer["text"]
    assert answer["finish_reason"] == "stop"
    assert answer["decode_tok_s"] is None, "a few tokens tell no speed"
    assert set(answer["usage"]) == {
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "drafted_tokens",
        "accepted_tokens",
    }


def test_a_full_context_is_an_error_with_its_own_code(hearth: Run) -> None:
    assert hearth("ask", "starter", "word " * 600).returncode == 9
    cut = hearth("ask", "starter", "What is the capital of France?", "--context", "18")
    assert cut.returncode == 9
    assert cut.stdout.strip(), "what was written before it is shown"
    assert "--context-overflow slide" in cut.stderr


def test_chat_through_a_pipe(hearth: Run, tmp_path: Path) -> None:
    saved = tmp_path / "talk.json"
    script = (
        f"What is the capital of France?\n/stats\n/save {saved}\n/system You are brief.\n/system\n/reset\n"
        f"/load {saved}\n/frob\n/help\n/load /no/such/file\nWhat is the capital of Italy?\n/exit\nnever read\n"
    )
    done = hearth("chat", "starter", stdin=script)
    assert done.returncode == 0
    assert [("Paris" in line, "Rome" in line) for line in done.stdout.splitlines()] == [(True, False), (False, True)]
    for said in (
        "not an assistant",
        "1 answer;",
        "You are brief.",
        "no command /frob",
        "Ctrl-C stops",
        "cannot be read",
    ):
        assert said in done.stderr
    assert [m["role"] for m in json.loads(saved.read_text())["messages"]] == ["user", "assistant"]


def test_chat_goes_on_from_a_file(hearth: Run, tmp_path: Path) -> None:
    saved = tmp_path / "talk.json"
    hearth("chat", stdin=f"What is the capital of France?\n/save {saved}\n")
    done = hearth("chat", "starter", "--load", str(saved), stdin=f"/save {saved}\n")
    assert done.returncode == 0
    assert len(json.loads(saved.read_text())["messages"]) == 2


def test_eval(hearth: Run, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("The capital of France is Paris. The capital of Italy is Rome. " * 20)
    plain = json.loads(hearth("eval", "starter", str(book), "--json").stdout)
    assert plain["perplexity"] > 1, "large: the starter has only ever read chats"
    assert plain["tokens"] > 100
    both = json.loads(hearth("eval", "starter", str(book), "--quant", "q4", "--against", "f32", "--json").stdout)
    assert both["other"]["perplexity"] == pytest.approx(plain["perplexity"])
    assert 0 <= both["kl_divergence"] < 0.5
    assert 0.7 < both["top1_agreement"] <= 1
    rounded = json.loads(hearth("eval", "starter", str(book), "--against-precision", "high", "--json").stdout)
    assert 0 < rounded["kl_divergence"] < both["kl_divergence"], "8-bit activations cost less than 4-bit weights"
    assert rounded["against_precision"] == "high"
    same = json.loads(hearth("eval", "starter", str(book), "--quant", "f32", "--against", "f32", "--json").stdout)
    assert (same["kl_divergence"], same["top1_agreement"]) == (pytest.approx(0, abs=1e-9), 1.0)


def test_eval_of_what_is_no_text(hearth: Run, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"\xff\xfe\x00")
    assert hearth("eval", "starter", str(tmp_path / "image")).returncode == 2
    assert hearth("eval", "starter", str(tmp_path / "none")).returncode == 7
    (tmp_path / "empty").write_text("")
    assert hearth("eval", "starter", str(tmp_path / "empty")).returncode == 2


def test_compile_to_a_folder_that_runs(hearth: Run, tmp_path: Path) -> None:
    folder = tmp_path / "starter.bundle"
    done = hearth("compile", "starter", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder)
    assert "Paris" in hearth("ask", str(folder), "What is the capital of France?").stdout
    assert "already" in hearth("compile", "starter", "--output", str(folder)).stderr
    assert "compiled already" in hearth("compile", str(folder)).stderr
    assert '"bundle"' in hearth("show", str(folder), "--json").stdout


def test_a_bundle_from_elsewhere_runs_only_when_the_user_says_so(hearth: Run, tmp_path: Path) -> None:
    folder = tmp_path / "starter.bundle"
    assert hearth("compile", "starter", "--output", str(folder)).returncode == 0
    elsewhere = {"HEARTH_CACHE": str(tmp_path / "another user's cache")}
    question = "What is the capital of France?"
    refused = hearth("ask", str(folder), question, env=elsewhere)
    assert (refused.returncode, refused.stdout) == (15, "")
    assert "--trust-bundle" in refused.stderr
    assert "Paris" in hearth("ask", str(folder), question, "--trust-bundle", env=elsewhere).stdout


def test_list_and_show(hearth: Run) -> None:
    assert "starter" in hearth("list").stdout
    data = json.loads(hearth("list", "--json").stdout)
    assert data["models"][0]["name"] == "starter"
    assert any(b["model"] == "starter" and b["quant"] == "q4" for b in data["bundles"])
    shown = hearth("show", "starter").stdout
    assert "llama" in shown
    assert "3.02 million" in shown
    more = json.loads(hearth("show", "starter", "--context", "256", "--quant", "f32", "--json").stdout)
    less = json.loads(hearth("show", "starter", "--context", "256", "--json").stdout)
    assert more["weights_bytes"] > 3 * less["weights_bytes"]
    assert more["kv_bytes"] == 2 * 2 * 2 * 64 * 4 * 256


def test_rm(hearth: Run) -> None:
    assert hearth("rm", "starter").returncode == 2, "the starter is part of Hearth"
    assert hearth("rm", "nobody/nothing").returncode == 3
    assert hearth("rm", "nobody/nothing", "--compiled").returncode == 3


def test_doctor(hearth: Run) -> None:
    done = hearth("doctor")
    assert done.returncode == 0
    for said in ("cores", "instruction set", "memory", "versions"):
        assert said in done.stdout
    assert {f["what"] for f in json.loads(hearth("doctor", "--json").stdout)} >= {"machine", "compiler", "bundles"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ask", "no-such-model", "hi"), 3),
        (("ask", "owner/name", "hi"), 3),
        (("pull", "owner/name"), 6),
        (("show", "no-such-model"), 3),
        (("ask", "starter", "hi", "--template", "frob"), 2),
        (("ask", "starter", "hi", "--top-p", "7"), 2),
        (("chat", "starter", "--load", "/no/such/file"), 7),
    ],
)
def test_mistakes_get_one_message(hearth: Run, arguments: tuple[str, ...], code: int) -> None:
    done = hearth(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("Error: ") == 1
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error(starter: LLM, cache: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from hearth.cli.main import main; main()", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HEARTH_CACHE": str(cache)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_more_threads_than_cores_are_taken_with_a_word(hearth: Run) -> None:
    cores = os.cpu_count() or 1
    done = hearth("ask", "starter", "What is the capital of France?", "--threads", str(cores + 1))
    assert done.returncode == 0
    assert f"more than {cores} are no faster" in done.stderr
    assert "Note" not in hearth("ask", "starter", "What is the capital of France?", "--threads", "1").stderr
