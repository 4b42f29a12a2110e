"""The comparisons must measure what they say, and refuse what they cannot measure before they start."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_prompts_to_prefill_are_new_each_turn_and_those_that_fill_the_cache_are_not(script):
    turns = script("_turns")
    prefill, decode = turns.Point("prefill", 8), turns.Point("decode", 8, 2, 4)
    assert prefill.prompts(1, 1000) != prefill.prompts(2, 1000)
    assert decode.prompts(1, 1000) == decode.prompts(2, 1000)
    assert [len(prompt) for prompt in decode.prompts(0, 1000)] == [8, 8]
    assert decode.prompts(0, 1000)[0] != decode.prompts(0, 1000)[1]


def test_speed_counts_the_tokens_of_all_sequences(script):
    turns = script("_turns")
    answer = {"prompt_s": 2.0, "generate_s": 4.0}
    assert turns.Point("prefill", 512).tok_s(answer) == 256
    assert turns.Point("decode", 512, 8, 32).tok_s(answer) == 64


def test_sides_take_turns_and_the_warm_up_does_not_count(script):
    calls = []

    def turn(index, name):
        calls.append((index, name))
        return float(index)

    values = script("_turns").take_turns(["a", "b"], 2, turn)
    assert values == {"a": [1.0, 2.0], "b": [1.0, 2.0]}
    assert [name for _, name in calls] == ["b", "a", "a", "b", "b", "a"]


def test_a_table_is_aligned(script):
    text = script("_turns").text_table(["", "tok/s"], [["decode", "1.0"], ["x", "100.0"]])
    assert text.splitlines() == ["        tok/s", "decode    1.0", "x       100.0"]


def test_the_ratio_to_the_best_setting_is_to_the_fastest_other_side(script):
    llamacpp = script("llamacpp")
    medians = {"hearth": 30.0, "llama.cpp": 10.0, "llama.cpp -fa off": 15.0}
    assert llamacpp.ratios(medians) == {"ratio": 3.0, "ratio_best": 2.0}
    assert llamacpp.ratios({"hearth": 30.0}) == {}


def test_a_share_is_of_the_limit_that_binds(script):
    llamacpp, turns = script("llamacpp"), script("_turns")
    limits = {"read_bytes": 2e9, "read_bytes_s": 40e9, "arithmetic": "int8", "operations": 3e12, "operations_s": 6e12}
    decode = llamacpp.share_of_limits(turns.Point("decode", 240, 4, 20), 40.0, limits)
    assert decode["done"] == pytest.approx(20.0)  # 10 steps a second of 2 GB
    assert decode["share"] == pytest.approx(0.5)
    prefill = llamacpp.share_of_limits(turns.Point("prefill", 512), 512.0, limits)
    assert prefill["limit"] == "int8"
    assert prefill["share"] == pytest.approx(0.5)
    assert llamacpp.share_text(prefill) == "3000 of 6000 Gop/s, 50 %"


def test_what_is_computed_is_the_prompt_in_chunks_or_a_step_in_the_middle(script):
    turns = script("_turns")
    assert turns.Point("prefill", 1000).forwards(512) == [([(0, 512)], 0), ([(512, 488)], 1)]
    assert turns.Point("decode", 100, 2, 20).forwards(512) == [([(110, 1), (110, 1)], 2)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threads", "0"], "at least 1"),
        (["--prompt", "--context"], "nothing to measure"),
        (["--kv", "q8_0", "--flash", "off"], "flash attention"),
        (["--compare", "--only", "hearth"], "both sides"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(script, gguf, capsys, words, said):
    with pytest.raises(SystemExit):
        script("llamacpp").parse([str(gguf), *words])
    assert said in capsys.readouterr().err


def test_a_missing_model_is_told_with_what_makes_one(script, tmp_path, capsys):
    with pytest.raises(SystemExit):
        script("llamacpp").parse([str(tmp_path / "none.gguf")])
    assert "shapes.py" in capsys.readouterr().err


def test_each_kind_of_flash_attention_is_a_side(script, gguf):
    llamacpp, worker = script("llamacpp"), script("_worker")
    arguments = llamacpp.parse(
        [str(gguf), "--flash", "auto", "off", "--context", "2048", "16", "--batch-size", "1", "4"]
    )
    sides = llamacpp.sides_of(arguments, worker.Job(str(gguf), 2, 100))
    assert list(sides) == ["hearth", "llama.cpp", "llama.cpp -fa off"]
    assert sides["llama.cpp -fa off"][2].flash == "off"
    decodes = [(p.sequences, p.tokens) for p in llamacpp.points_of(arguments) if p.what == "decode"]
    assert decodes == [(1, 16), (1, 2048), (4, 16), (4, 2048)]


def test_openvino_gets_groups_that_divide_the_rows(script):
    peers = script("peers")
    for name, group in {"smollm2-135m": "64", "qwen2.5-0.5b": "128", "llama-3.2-1b": "128"}.items():
        command = peers.openvino_export("/venv/bin/python", name, Path("in"), Path("out"))
        assert command[0] == "/venv/bin/optimum-cli"
        assert command[command.index("--group-size") + 1] == group


def test_the_table_shows_every_result_and_the_command_that_made_it(script, tmp_path, monkeypatch, capsys):
    table = script("table")
    models, out = tmp_path / "models", tmp_path / "out"
    models.mkdir()
    out.mkdir()
    (models / "smollm2-135m-q4_0.gguf").write_bytes(b"GGUF")
    words = [
        "table.py",
        "--shapes",
        str(models),
        "--out",
        str(out),
        "--only-print",
        "--llamacpp-python",
        "/venv/python",
    ]
    arguments = argparse.Namespace(
        shapes=models, out=out, shape=["smollm2-135m"], quick=False, repeat=5, llamacpp_python="/venv/python",
        peers_python=None,
    )  # fmt: skip
    wanted = list(table.runs(arguments))
    assert {"smollm2-135m q4_0", "smollm2-135m q4_0, cold", "smollm2-135m q4_0, 8k"} <= {run.name for run in wanted}
    assert not any("q8_0.gguf" in run.command for run in wanted)  # the folder has no such file
    row = {
        "what": "decode", "tokens": 16, "sequences": 1, "threads": 2, "kv": "f16",
        "tok_s": {side: {"median": speed, "min": speed, "max": speed}
                  for side, speed in (("hearth", 300.0), ("llama.cpp", 100.0))},
        "peak_mb": {"hearth": 200.0, "llama.cpp": 300.0}, "weights_mb": 90.0, "kv_mb": 10.0,
        "ratio": 3.0, "ratio_best": 3.0,
        "limit": "memory", "unit": "GB/s", "done": 30.0, "limit_value": 40.0, "share": 0.75,
    }  # fmt: skip
    result = {"command": wanted[0].command, "model": "smollm2-135m-q4_0.gguf", "rows": [row]}
    (out / "smollm2-135m-q4_0.json").write_text(json.dumps(result))
    monkeypatch.setattr("sys.argv", words)
    assert table.main() == 0
    printed = capsys.readouterr().out
    assert "| smollm2-135m-q4_0 | 16 | 2 | 300 (300-300) | 100 (100-100) | 3.00x | 3.00x |" in printed
    assert "30.0 of 40.0 GB/s, 75 %" in printed
    assert "| smollm2-135m q4_0 | 90 | 100 | 200 | +100 | 300 |" in printed
    assert "1. `python benchmarks/llamacpp.py .cache/shapes/smollm2-135m-q4_0.gguf" in printed
    assert str(tmp_path) not in printed
