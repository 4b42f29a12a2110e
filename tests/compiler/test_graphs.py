"""Graphs of strangers, compiled and run: arrays in, the arrays out that NumPy computes."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.checkpoint import onnx_builders as onnx
from tests.golden.imported import STEPS

import hearth
from hearth.errors import Unsupported, UsageError
from hearth.hub.local import STARTER_PATH
from hearth.prepare import prepare

GOLDEN = Path(__file__).parent.parent / "golden" / "imported"
RNG = np.random.default_rng(0)
WEIGHTS: dict[str, Any] = {
    "w": RNG.normal(size=(40, 64)).astype(np.float32),
    "b": RNG.normal(size=64).astype(np.float32),
    "v": RNG.normal(size=(64, 20)).astype(np.float32),
    "table": RNG.normal(size=(30, 40)).astype(np.float32),
}


def _perceptron(tmp_path: Path) -> Path:
    """gelu(table[ids] w + b) v, with ids of the shape (n,)."""
    nodes = [
        onnx.node("Gather", ["table", "ids"], ["x"]),
        onnx.node("MatMul", ["x", "w"], ["h"]),
        onnx.node("Add", ["h", "b"], ["h1"]),
        onnx.node("Gelu", ["h1"], ["h2"]),
        onnx.node("MatMul", ["h2", "v"], ["y"]),
    ]
    path = tmp_path / "perceptron.onnx"
    path.write_bytes(onnx.model(nodes, [onnx.value("ids", ["n"], "int64")], [onnx.value("y", ["n", 20])], WEIGHTS))
    return path


def _expected(ids: Any) -> Any:
    h = WEIGHTS["table"][ids].astype(np.float64) @ WEIGHTS["w"] + WEIGHTS["b"]
    h = 0.5 * h * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
    return h @ WEIGHTS["v"]


@pytest.fixture
def graph(tmp_path: Path, cache: Path) -> Any:
    with hearth.compile(_perceptron(tmp_path), quant="f32", precision="high") as compiled:
        yield compiled


@pytest.mark.parametrize("ids", [[0], [29, 0, 3, 3, 7], list(range(8))])
def test_a_compiled_graph_computes_what_numpy_computes(graph: Any, ids: list[int]) -> None:
    wanted = _expected(ids)
    np.testing.assert_allclose(graph(np.array(ids)), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    assert set(graph.run({"ids": ids})) == {"y"}


def test_what_a_graph_takes_is_told(graph: Any) -> None:
    assert graph.inputs["ids"].shape == ("n",)
    assert (graph.inputs["ids"].low, graph.inputs["ids"].high) == (0, 29)
    for inputs, what in (([[30]], "ids"), ([[-1]], "ids"), ([np.arange(9)], "n"), ([[0.5]], "ids"), ([], "0 arrays")):
        with pytest.raises(UsageError, match=what):
            graph(*inputs)
    with pytest.raises(UsageError, match="ids"):
        graph.run({"words": [1]})


def test_results_are_copies(graph: Any) -> None:
    first = graph([1, 2])
    kept = first.copy()
    graph([3, 4])
    np.testing.assert_array_equal(first, kept)


def test_a_graph_is_quantised_like_any_other_model(tmp_path: Path, cache: Path) -> None:
    wanted = _expected([1, 5, 6])
    with hearth.compile(_perceptron(tmp_path), sizes={"n": (1, 3)}) as graph:
        assert graph.inputs["ids"].most == (3,)
        found = graph([1, 5, 6])
    assert 0 < np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()


def test_a_graph_that_was_compiled_before_is_found(tmp_path: Path, cache: Path) -> None:
    path = _perceptron(tmp_path)
    with hearth.compile(path) as first, hearth.compile(path) as second:
        assert first.path == second.path
    with hearth.Graph(first.path) as again:
        assert again([2]).shape == (1, 20)


def test_models_of_another_kind_are_no_graphs(tmp_path: Path, cache: Path) -> None:
    bundle = prepare("starter", offline=True).bundle.path
    with pytest.raises(Unsupported, match="no graph of arrays"):
        hearth.Graph(bundle)
    with pytest.raises(UsageError, match=r"no \.onnx or \.pt2 file"):
        hearth.compile(STARTER_PATH)


QUICK = (
    "vit", "dinov2", "convnext", "mobile", "t5", "clip_text", "bert", "sd3", "functions", "pooled_opset20", "indices",
    "recurrent_opset17", "resizes", "sampled_opset16", "detections", "suppressed", "boxes",
)  # fmt: skip
SLOW = (
    "bert_opset14", "clip", "clip_vision", "conditional_detr", "deberta_opset17", "deit", "depth_anything", "detr",
    "detr_opset16", "dinov2_opset18", "dinov3", "flux", "mobile_bytes", "mobile_opset11", "mobile_opset18", "mobilevit",
    "pixart", "pooled", "pooled_bytes", "recurrent", "resnet", "rt_detr", "sam_vision", "sampled", "segformer",
    "segformer_opset14", "siglip", "swin", "swin_opset17", "swinv2", "swinv2_opset20", "taesd", "unet", "unet_opset20",
    "vae_decoder", "vae_encoder", "vit_opset14", "yolos",
)  # fmt: skip


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_an_exported_model_computes_what_pytorch_computed(name: str, tmp_path: Path, cache: Path) -> None:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        inputs, wanted = ([arrays[f"{side}{i}"] for i in range(99) if f"{side}{i}" in arrays] for side in ("in", "out"))
    path = GOLDEN / f"{name}.pt2"
    if not path.exists():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(gzip.decompress((GOLDEN / f"{name}.onnx.gz").read_bytes()))
    with hearth.compile(path, quant="f32", precision="high") as graph:
        found = graph.run(dict(zip(graph.inputs, inputs, strict=True)))
    for ours, theirs in zip(found.values(), wanted, strict=True):
        tolerance = STEPS.get(name, 1e-5) * max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.reference
def test_a_torch_module(tmp_path: Path, cache: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(inplace=True), torch.nn.Linear(32, 4))
    x = torch.randn(3, 8)
    batch = torch.export.Dim("batch", min=1, max=16)
    about: dict[str, Any] = {"dynamic_shapes": ({0: batch},), "quant": "f32", "precision": "high"}
    with hearth.compile(module, (x,), **about) as graph, hearth.compile(module, (x,), **about) as again:
        assert graph.path == again.path
        for rows in (x, torch.randn(16, 8)):
            np.testing.assert_allclose(graph(rows), module(rows).detach(), atol=1e-5)
    module[0].weight.data += 1
    with hearth.compile(module, (x,), **about) as other:
        assert other.path != graph.path
    with pytest.raises(UsageError, match="example_inputs are missing"):
        hearth.compile(module)


# ONNX's name, ours in numpy, where it is defined.
CURVES: dict[str, tuple[Any, float, float]] = {
    "Acos": (np.arccos, -1, 1), "Acosh": (np.arccosh, 1, 90), "Asin": (np.arcsin, -1, 1),
    "Asinh": (np.arcsinh, -90, 90), "Atan": (np.arctan, -90, 90), "Atanh": (np.arctanh, -0.999, 0.999),
    "Cosh": (np.cosh, -9, 9), "Sinh": (np.sinh, -9, 9), "Tan": (np.tan, -1.5, 1.5), "Exp": (np.exp, -9, 9),
    "Log": (np.log, 1e-6, 90),
}  # fmt: skip


def test_curves_are_as_numpy_has_them(tmp_path: Path, cache: Path) -> None:
    """Near 0 as well, where differences of large numbers would leave nothing."""
    nodes = [onnx.node(name, [f"x_{name}"], [name]) for name in CURVES]
    nodes += [onnx.node("Pow", ["base", "exponent"], ["Pow"]), onnx.node("Mod", ["a", "b"], ["Mod"], fmod=1)]
    near = np.float32(10.0) ** -np.arange(1, 9, dtype=np.float32)
    given = {}
    for name, (_, low, high) in CURVES.items():
        x = np.concatenate([np.linspace(low, high, 84), near, -near]).astype(np.float32)
        given[f"x_{name}"] = np.clip(x, low, high)
    rng = np.random.default_rng(1)
    given["base"], given["exponent"] = (rng.uniform(low, 4, 100).astype(np.float32) for low in (0.01, -4))
    given["base"][:4], given["exponent"][:4] = [-2, -2, 0, 0], [3, 2, 0, 1.5]
    given["a"], given["b"] = (rng.uniform(-50, 50, 100).astype(np.float32) for _ in range(2))
    inputs = [onnx.value(name, [100]) for name in given]
    path = tmp_path / "curves.onnx"
    path.write_bytes(onnx.model(nodes, inputs, [onnx.value(node, [100]) for node in (*CURVES, "Pow", "Mod")]))
    with hearth.compile(path, quant="f32", precision="high") as graph:
        found = graph.run(given)
    for name, (function, *_) in CURVES.items():
        wanted = function(given[f"x_{name}"].astype(np.float64))
        np.testing.assert_allclose(found[name], wanted, rtol=2e-6, atol=1e-12, err_msg=name)
    power = np.power(given["base"].astype(np.float64), given["exponent"])
    np.testing.assert_allclose(found["Pow"], power, rtol=2e-6)
    np.testing.assert_allclose(found["Mod"], np.fmod(given["a"], given["b"]), atol=1e-5)


def test_a_single_number_goes_in_and_comes_out(tmp_path: Path, cache: Path) -> None:
    nodes = [onnx.node("Mul", ["x", "s"], ["m"]), onnx.node("ReduceSum", ["m"], ["y"], keepdims=0)]
    path = tmp_path / "number.onnx"
    path.write_bytes(onnx.model(nodes, [onnx.value("x", [3]), onnx.value("s", [])], [onnx.value("y", [])]))
    with hearth.compile(path, quant="f32") as graph:
        assert graph.inputs["s"].shape == ()
        found = graph(np.array([1, 2, 4], np.float32), np.float32(0.5))
    assert found.shape == ()
    assert found == 3.5


def test_numbers_beyond_an_axis_stay_in_it_and_those_below_zero_count_from_its_end(tmp_path: Path, cache: Path) -> None:
    nodes = [onnx.node("Gather", ["x", "i"], ["y"], axis=1), onnx.node("Neg", ["x"], ["z"])]
    path = tmp_path / "gather.onnx"
    outputs = [onnx.value("y", [2, 3, 4]), onnx.value("z", [2, 5, 4])]
    path.write_bytes(onnx.model(nodes, [onnx.value("x", [2, 5, 4]), onnx.value("i", [3], "int64")], outputs))
    x = RNG.normal(size=(2, 5, 4)).astype(np.float32)
    with hearth.compile(path, quant="f32") as graph:
        np.testing.assert_array_equal(graph(x, [-1, 0, -5])[0], x[:, [4, 0, 0]])
        assert np.isfinite(graph(x, [1 << 20, -(1 << 20), 3])[0]).all()  # whatever they are, nothing else is read


def test_what_is_only_passed_on_is_a_result_of_its_own(tmp_path: Path, cache: Path) -> None:
    nodes = [onnx.node(*names) for names in (("Identity", ["x"], ["y"]), ("Identity", ["c"], ["z"]))]
    nodes.append(onnx.node("Shape", ["x"], ["s"]))
    path = tmp_path / "same.onnx"
    outputs = [onnx.value("y", [2, 16]), onnx.value("z", [3], "int64"), onnx.value("s", [2], "int64")]
    numbers = {"c": np.array([7, -1, 9], np.int64)}
    path.write_bytes(onnx.model(nodes, [onnx.value("x", [2, 16])], outputs, numbers))
    x = RNG.normal(size=(2, 16)).astype(np.float32)
    with hearth.compile(path, quant="f32") as graph:
        y, z, s = graph(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(z, numbers["c"])
    np.testing.assert_array_equal(s, [2, 16])


def test_a_result_may_have_another_shape_where_it_lies(tmp_path: Path, cache: Path) -> None:
    """Rows of whole vectors are taken as rows of another length without being moved."""
    nodes = [onnx.node("Relu", ["x"], ["r"]), onnx.node("Reshape", ["r", "s"], ["y"])]
    nodes.append(onnx.node("Reshape", ["r", "t"], ["z"]))
    path = tmp_path / "shapes.onnx"
    sizes = {"s": np.array([3, 4, 16], np.int64), "t": np.array([2, 96], np.int64)}
    outputs = [onnx.value("y", [3, 4, 16]), onnx.value("z", [2, 96])]
    path.write_bytes(onnx.model(nodes, [onnx.value("x", [4, 48])], outputs, sizes))
    x = RNG.normal(size=(4, 48)).astype(np.float32)
    with hearth.compile(path, quant="f32") as graph:
        y, z = graph(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0).reshape(3, 4, 16))
    np.testing.assert_array_equal(z, np.maximum(x, 0).reshape(2, 96))


def test_what_comes_behind_a_count_is_computed_of_as_many_rows_as_there_are(tmp_path: Path, cache: Path) -> None:
    """Products, a softmax along the axis that is counted, a table, weights of both parts; also of no rows at all."""
    nodes = [
        onnx.node("MatMul", ["x", "w"], ["h"]),
        onnx.node("ReduceMean", ["h", "one"], ["mean"], keepdims=0),
        onnx.node("Greater", ["mean", "half"], ["kept"]),
        onnx.node("NonZero", ["kept"], ["places"]),
        onnx.node("Squeeze", ["places", "zero"], ["rows"]),
        onnx.node("Gather", ["h", "rows"], ["chosen"]),
        onnx.node("MatMul", ["chosen", "w"], ["again"]),
        onnx.node("Softmax", ["again"], ["shares"], axis=0),
        onnx.node("Gather", ["table", "ids"], ["e"]),
        onnx.node("Transpose", ["e"], ["turned"]),
        onnx.node("MatMul", ["again", "turned"], ["y"]),
    ]
    w, table = RNG.normal(size=(40, 40)).astype(np.float32) / 6, WEIGHTS["table"]
    numbers = {"w": w, "table": table, "one": np.array([1]), "zero": np.array([0]), "half": np.array(0.05, np.float32)}
    inputs = [onnx.value("x", ["n", 40]), onnx.value("ids", [5], "int64")]
    outputs = [onnx.value("y", ["m", 5]), onnx.value("shares", ["m", 40]), onnx.value("rows", ["m"], "int64")]
    path = tmp_path / "counted.onnx"
    path.write_bytes(onnx.model(nodes, inputs, outputs, numbers))
    with hearth.compile(path, quant="f32", precision="high", sizes={"n": (1, 40)}) as graph:
        assert graph.outputs["y"].most == (40, 5)
        for count, scale in ((40, 1), (3, 1), (5, 0)):
            x, ids = (RNG.normal(size=(count, 40)) * scale).astype(np.float32), RNG.integers(0, 30, 5)
            found = graph.run({"x": x, "ids": ids})
            rows = np.flatnonzero((x @ w).mean(1) > 0.05)
            again = x.astype(np.float64)[rows] @ w @ w
            shares = np.exp(again - again.max(0, initial=0))
            np.testing.assert_array_equal(found["rows"], rows)
            np.testing.assert_allclose(found["y"], again @ table[ids].T, atol=1e-4)
            np.testing.assert_allclose(found["shares"], shares / np.maximum(shares.sum(0), 1e-30), atol=1e-5)
        with pytest.raises(UsageError, match="ids"):
            graph.run({"x": x, "ids": ids + 30})
