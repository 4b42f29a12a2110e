"""Text that is no UTF-8: what can be read is used, and the rest told; a program's input must be right as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hearth import LLM
from hearth.cli.inputs import read_file, readable
from hearth.errors import StorageError, UsageError

LATIN = b"caf\xe9 au lait"
SCRIPT = "from hearth.cli.main import main; main()"


def hearth_bytes(cache: Path, *arguments: bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "HEARTH_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    return subprocess.run(
        [os.fsencode(sys.executable), b"-c", SCRIPT.encode(), *arguments],
        input=stdin, capture_output=True, timeout=120, check=False, env=environment,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["pipe", "argument", "system"])
def test_a_question_in_another_encoding_is_asked_and_told(starter: LLM, cache: Path, how: str) -> None:
    arguments = {
        "pipe": [b"ask", b"starter"],
        "argument": [b"ask", b"starter", LATIN],
        "system": [b"ask", b"starter", b"Hi", b"--system", LATIN],
    }[how]
    done = hearth_bytes(cache, *arguments, stdin=LATIN if how == "pipe" else b"")
    assert done.returncode == 0, done.stderr
    assert b"1 byte is no UTF-8" in done.stderr
    assert b"unexpected" not in done.stderr


def test_a_conversation_goes_on_after_such_a_line(starter: LLM, cache: Path) -> None:
    done = hearth_bytes(cache, b"chat", b"starter", stdin=LATIN + b"\nWhat is the capital of France?\n")
    assert done.returncode == 0, done.stderr
    assert b"Paris" in done.stdout


def test_what_is_text_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert readable("Zoë 天 \N{FIRE}", "x") == "Zoë 天 \N{FIRE}"
    assert capsys.readouterr().err == ""


def test_files_that_cannot_be_read_are_told_alike(tmp_path: Path) -> None:
    latin, bom = tmp_path / "latin", tmp_path / "bom"
    latin.write_bytes(LATIN)
    bom.write_bytes(b"\xef\xbb\xbf{}")
    with pytest.raises(UsageError, match=r"latin is no UTF-8 text. Byte 3 does not belong there."):
        read_file(latin)
    with pytest.raises(StorageError, match=r"missing cannot be read\. No such file or directory\."):
        read_file(tmp_path / "missing")
    assert read_file(bom) == "{}"
