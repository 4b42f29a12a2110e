"""The output of a batch: whole lines stay whatever happens, and nobody's work is overwritten by mistake."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hearth.batch import BatchOutput, RunRecord
from hearth.errors import CorruptFile, UsageError

RECORD = RunRecord("abc", "starter", {"context": None, "quant": None})
IDS = {f"r{i}" for i in range(10)}


def answer(custom_id: str, status: int = 200) -> dict[str, Any]:
    return {"id": "x", "custom_id": custom_id, "response": {"status_code": status, "body": {}}, "error": None}


def written(path: Path, *custom_ids: str, record: RunRecord = RECORD) -> None:
    with BatchOutput(path, record, IDS) as output:
        for custom_id in custom_ids:
            output.write(custom_id, answer(custom_id), ok=True)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in path.read_text().splitlines()]


def test_a_second_run_knows_what_is_finished_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with BatchOutput(path, RECORD, IDS) as output:
        output.write("r1", answer("r1"), ok=True)
        output.write("r2", answer("r2", 400), ok=False)
    with BatchOutput(path, RECORD, IDS) as output:
        assert output.finished == {"r1": True, "r2": False}
        output.write("r3", answer("r3"), ok=True)
    assert ids(path) == ["r1", "r2", "r3"]


@pytest.mark.parametrize("cut", [1, 20])
def test_a_half_written_last_line_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "out.jsonl"
    written(path, "r1", "r2")
    path.write_bytes(path.read_bytes()[:-cut])
    with BatchOutput(path, RECORD, IDS) as output:
        assert output.finished == {"r1": True}
        output.write("r2", answer("r2"), ok=True)
    assert ids(path) == ["r1", "r2"]


def test_damage_in_the_middle_is_told_and_nothing_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    written(path, "r1", "r2")
    damaged = b"?" + path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(CorruptFile, match="line 1"):
        BatchOutput(path, RECORD, IDS)
    assert path.read_bytes() == damaged


def test_an_answer_to_what_nobody_asked_is_told(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    written(path, "r1")
    with pytest.raises(CorruptFile, match="nobody asked"):
        BatchOutput(path, RECORD, {"r2"})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"input_sha256": "other"}, "input was another file"),
        ({"model": "other"}, "its model was starter, not other"),
        ({"settings": {"context": 512, "quant": None}}, "its context was none, not 512"),
    ],
)
def test_another_run_is_refused_unless_it_restarts(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    path = tmp_path / "out.jsonl"
    written(path, "r1")
    other = replace(RECORD, **changed)
    with pytest.raises(UsageError, match="another run") as caught:
        BatchOutput(path, other, IDS)
    assert told in caught.value.why.lower()
    assert ids(path) == ["r1"]
    with BatchOutput(path, other, IDS, restart=True) as output:
        assert not output.finished
    assert ids(path) == []


def test_files_of_a_model_that_changed_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    written(path, "r1")
    with BatchOutput(path, RECORD, IDS) as output:
        output.set_fingerprint("one")
    with BatchOutput(path, RECORD, IDS) as output, pytest.raises(UsageError, match="another run"):
        output.set_fingerprint("two")


def test_a_file_that_is_no_output_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine\n")
    with pytest.raises(UsageError, match="not the output of a batch"):
        BatchOutput(path, RECORD, IDS)
    assert path.read_text() == "mine\n"


def test_two_runs_do_not_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with BatchOutput(path, RECORD, IDS), pytest.raises(UsageError, match="Another run"):
        BatchOutput(path, RECORD, IDS)
    written(path, "r1")  # it is free again


_FILLS = """
import signal, sys
from pathlib import Path
from hearth.batch import BatchOutput, RunRecord
from hearth.errors import StorageError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
output = BatchOutput(Path(sys.argv[1]), RunRecord("abc", "starter", {"context": None, "quant": None}), {"r1", "r2"})
line = {"custom_id": "r1", "response": {"status_code": 200, "body": "x" * 3000}, "error": None}
output.write("r1", line, ok=True)
try:
    output.write("r2", {**line, "custom_id": "r2"}, ok=True)
except StorageError as error:
    print(error)
"""


def test_where_no_more_can_be_written_there_is_no_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    limit = (4096, 4096)
    ended = subprocess.run(
        [sys.executable, "-c", _FILLS, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert f"Cannot write {path}" in ended.stdout
    assert "run the same command again" in ended.stdout
    assert path.read_bytes().endswith(b"\n")
    with BatchOutput(path, RECORD, IDS) as output:
        assert output.finished == {"r1": True}
