"""`hearth compile` of graphs, `hearth graph`, and what other verbs say of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.checkpoint import onnx_builders as onnx

from hearth.cli.main import run

from .conftest import Run


@dataclass
class Done:
    code: int
    out: str
    err: str


Here = Callable[..., Done]


@pytest.fixture
def here(cache: Path, capsys: pytest.CaptureFixture[str]) -> Here:
    """Runs `hearth ARGUMENTS` in this process."""

    def run_here(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(arguments)
        return Done(code, *capsys.readouterr())

    return run_here


def _file(tmp_path: Path) -> Path:
    nodes = [onnx.node("Relu", ["x"], ["y"])]
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.model(nodes, [onnx.value("x", ["n", 8])], [onnx.value("y", ["n", 8])]))
    return path


def test_a_graph_is_compiled(hearth: Run, tmp_path: Path) -> None:
    done = hearth("compile", str(_file(tmp_path)), "--size", "n=1:4")
    assert done.returncode == 0
    assert (Path(done.stdout.strip()) / "manifest.json").is_file()


def test_what_does_not_go_together_is_told(hearth: Run, tmp_path: Path) -> None:
    path = str(_file(tmp_path))
    for arguments, code, what in (
        (("compile", path, "--size", "batch=2"), 2, "leave open: n"),
        (("compile", path, "--size", "n=0"), 2, "no size"),
        (("compile", path, "--size", "n"), 2, "NAME=N"),
        (("compile", path, "--context", "100"), 2, "language models"),
        (("compile", "starter", "--size", "n=1"), 2, "--size NAME=N is for"),
        (("compile", str(tmp_path / "other.onnx")), 3, "no file"),
        (("chat", path), 5, "no language model"),
        (("ask", path, "Hello"), 5, f"hearth graph {path}"),
    ):
        done = hearth(*arguments)
        assert done.returncode == code, done.stderr
        assert what in done.stderr


def test_operations_that_cannot_be_compiled_are_told(hearth: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    nodes = [onnx.node("Strange", ["x"], ["a"], name="first"), onnx.node("Odd", ["a"], ["y"])]
    path.write_bytes(onnx.model(nodes, [onnx.value("x", [8])], [onnx.value("y", [8])]))
    done = hearth("compile", str(path))
    assert done.returncode == 5
    assert "Strange (node 'first', output 'a'); Odd ('y')" in done.stderr


def test_weights_outside_the_folder_are_refused(hearth: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.model([], [], [], [onnx.external_tensor("w", (2,), location="../secret.bin")]))
    done = hearth("compile", str(path))
    assert done.returncode == 4
    assert "own folder" in done.stderr


def test_a_graph_is_shown_before_it_is_compiled(hearth: Run, tmp_path: Path) -> None:
    done = hearth("show", str(_file(tmp_path)))
    assert done.returncode == 0
    assert "Relu 1" in done.stdout
    assert "n x 8" in done.stdout
    assert "not known" not in done.stdout
    path = tmp_path / "odd.onnx"
    path.write_bytes(
        onnx.model([onnx.node("Odd", ["x"], ["y"])], [onnx.value("x", [None, 8])], [onnx.value("y", [None, 8])])
    )
    about = json.loads(hearth("show", str(path), "--json").stdout)
    assert about["unknown"] == ["Odd"]
    assert about["inputs"] == [{"name": "x", "dtype": "f32", "shape": [None, 8]}]
    refused = hearth("show", str(path), "--quant", "q8")
    assert refused.returncode == 2
    assert "is a graph" in refused.stderr


def _two_inputs(tmp_path: Path) -> Path:
    """y = x + b, z = table[ids]."""
    nodes = [onnx.node("Add", ["x", "b"], ["y"]), onnx.node("Gather", ["table", "ids"], ["z"])]
    inputs = [onnx.value("x", ["n", 8]), onnx.value("ids", ["n"], "int64")]
    outputs = [onnx.value("y", ["n", 8]), onnx.value("z", ["n", 4])]
    weights = {"b": np.arange(8, dtype=np.float32), "table": np.arange(40, dtype=np.float32).reshape(10, 4)}
    path = tmp_path / "two.onnx"
    path.write_bytes(onnx.model(nodes, inputs, outputs, weights))
    return path


def test_a_graph_is_run_on_arrays(here: Here, tmp_path: Path) -> None:
    path, x, ids = _two_inputs(tmp_path), np.ones((3, 8), np.float32), np.array([9, 0, 4])
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "all.npz", x=np.asfortranarray(x), ids=ids)
    np.savez(tmp_path / "numbers.npz", ids)
    out = tmp_path / "out.npz"
    for given in (
        ("-i", str(tmp_path / "all.npz")),
        ("-i", f"x={tmp_path / 'x.npy'}", "-i", f"ids={tmp_path / 'numbers.npz'}"),
    ):
        done = here("graph", str(path), *given, "-o", str(out), "--quant", "f32")
        assert done.code == 0, done.err
        with np.load(out) as found:
            np.testing.assert_array_equal(found["y"], x + np.arange(8))
            np.testing.assert_array_equal(found["z"], np.arange(40).reshape(10, 4)[ids])
    assert [line.split() for line in done.out.splitlines()] == [
        ["OUTPUT", "TYPE", "SHAPE", "LEAST", "MEAN", "MOST"],
        ["y", "float32", "3", "x", "8", "1", "4.5", "8"],
        ["z", "float32", "3", "x", "4", "0", "18.83", "39"],
    ]


def test_a_graph_is_tried_with_random_numbers(here: Here, tmp_path: Path) -> None:
    path = _two_inputs(tmp_path)
    bundle = here("compile", str(path)).out.strip()
    for model in (str(path), bundle):
        done = here("graph", model, "--random", "--size", "n=2", "--repeat", "2", "--json")
        assert done.code == 0, done.err
        told = json.loads(done.out)
        assert [(each["name"], each["dtype"], each["shape"]) for each in told["inputs"]] == [
            ("x", "float32", [2, 8]),
            ("ids", "int32", [2]),
        ]
        assert told["time_ms"]["min"] <= told["time_ms"]["median"]
        z = told["outputs"][1]
        assert (z["name"], z["shape"], z["not_finite"]) == ("z", [2, 4], 0)
        assert 0 <= z["min"] <= z["mean"] <= z["max"] < 40
    np.save(tmp_path / "x.npy", np.ones((5, 8), np.float32))
    done = here("graph", bundle, "-i", f"x={tmp_path / 'x.npy'}", "--random")
    assert "5 x 4" in done.out  # what is not given has the sizes of what is


def test_a_picture_goes_into_a_graph(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    same = onnx.node("Identity", ["x"], ["y"])
    path.write_bytes(onnx.model([same], [onnx.value("x", [1, 3, 4, 6])], [onnx.value("y", [1, 3, 4, 6])]))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    photo, out = str(tmp_path / "photo.png"), tmp_path / "y.npy"
    Image.fromarray(pixels).save(photo)
    zero_to_one = pixels.transpose(2, 0, 1)[None] / 255
    mean, std = (np.array(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    wanted = {"imagenet": (zero_to_one - mean) / std, "unit": zero_to_one, "signed": 2 * zero_to_one - 1}
    wanted["bytes"] = 255 * zero_to_one
    for colours, values in wanted.items():
        assert here("graph", str(path), "-i", photo, "--colours", colours, "-o", str(out)).code == 0
        np.testing.assert_allclose(np.load(out), values, rtol=1e-5, atol=1e-6)
    rules = {"image_processor_type": "ViTImageProcessor", "size": 224, "image_mean": [0.5] * 3, "image_std": [1.0] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(rules))
    bundle = here("compile", str(path)).out.strip()
    for model in (str(path), bundle):
        assert here("graph", model, "-i", f"x={photo}", "-o", str(out)).code == 0
        np.testing.assert_allclose(np.load(out), zero_to_one - 0.5, rtol=1e-5, atol=1e-6)


def test_what_a_graph_cannot_be_given_is_told(here: Here, tmp_path: Path) -> None:
    path, bundle = str(_two_inputs(tmp_path)), str(tmp_path / "bundle")
    assert here("compile", path, "--output", bundle).code == 0

    def saved(name: str, array: Any) -> str:
        np.save(tmp_path / name, array, allow_pickle=True)
        return str(tmp_path / name)

    x = saved("x.npy", np.ones((2, 8)))
    (tmp_path / "cut.npy").write_bytes(Path(x).read_bytes()[:-8])
    (tmp_path / "text.npy").write_text("1 2 3")
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    np.savez(tmp_path / "some.npz", a=np.ones(2), c=np.ones(2))
    for arguments, code, what in (
        (("-i", f"x={x}"), 2, "No file is named for ids."),
        (("-i", x), 2, "Which input is"),
        (("-i", f"X={x}", "--random"), 2, "no input 'X'. Why: It takes x (f32, n x 8), ids (i32, n). Try: Did you"),
        (("-i", f"x={x}", "-i", f"x={x}"), 2, "given twice"),
        (("-i", f"x={saved('wide.npy', np.ones((2, 9)))}", "--random"), 2, "axis 1 is 9, must be 8"),
        (("-i", f"ids={saved('flat.npy', np.ones(2))}", "--random"), 2, "ids must be integers"),
        (("-i", f"ids={saved('far.npy', np.array([10]))}", "--random"), 2, "must be 0 to 9"),
        (("-i", f"x={saved('objects.npy', np.array([{}]))}", "--random"), 5, "Hearth unpickles nothing"),
        (("-i", f"x={saved('words.npy', np.array(['a']))}", "--random"), 5, "no numbers"),
        (("-i", f"x={tmp_path / 'cut.npy'}", "--random"), 4, "cut off"),
        (("-i", f"x={tmp_path / 'text.npy'}", "--random"), 4, "no file of numpy arrays"),
        (("-i", f"x={tmp_path / 'other.npy'}", "--random"), 7, "cannot be read"),
        (("-i", f"x={tmp_path / 'some.npz'}", "--random"), 2, "It has: a, c."),
        (("-i", f"x={tmp_path / 'photo.png'}", "--random"), 2, "x takes no picture"),
        (("-i", f"x={path}", "--random"), 2, "neither an array nor a picture"),
        (("--random", "-o", str(tmp_path / "y.npy")), 2, "holds one array"),
        (("--random", "-o", str(tmp_path / "y.txt")), 2, "no name for arrays"),
        (("--random", "-o", str(tmp_path / "none" / "y.npz")), 7, "no folder"),
        (("--random", "--size", "n=9"), 2, "compiled for 1 to 8"),
        (("--random", "--size", "m=1"), 2, "no open size 'm'"),
        (("--random", "--size", "n=1:4"), 2, "--size says how a graph is compiled"),
        (("--random", "--quant", "q8"), 2, "--quant says how a graph is compiled"),
    ):
        done = here("graph", bundle, *arguments)
        assert done.code == code, (arguments, done.err)
        assert what in " ".join(done.err.split()), (arguments, done.err)
        assert done.out == ""
    done = here("graph", "starter", "--random")
    assert done.code == 3
    assert "starter is no graph" in done.err
