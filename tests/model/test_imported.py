"""Graphs of strangers as networks: tiny models of many kinds compute what PyTorch computed when they were exported."""

from __future__ import annotations

import gzip
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.checkpoint import onnx_builders as onnx
from tests.golden.imported import STEPS

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.checkpoint.pt2 import ExportedProgram
from hearth.errors import CorruptFile, Unsupported, UsageError
from hearth.model.calls import operation
from hearth.model.evaluate import evaluate
from hearth.model.imported.exported import import_exported
from hearth.model.imported.onnx import import_onnx
from hearth.model.network import Network
from hearth.model.weights import WeightSource

GOLDEN = Path(__file__).parent.parent / "golden" / "imported"
EXPORTED = sorted(path.stem for path in GOLDEN.glob("*.pt2"))
ONNX = sorted(path.name.removesuffix(".onnx.gz") for path in GOLDEN.glob("*.onnx.gz"))


def _imported(name: str, folder: Path, sizes: Mapping[str, Any] | None = None) -> tuple[Network, Any]:
    if name in EXPORTED:
        program = ExportedProgram(GOLDEN / f"{name}.pt2")
        return import_exported(program, sizes), program.array
    path = folder / f"{name}.onnx"
    path.write_bytes(gzip.decompress((GOLDEN / f"{name}.onnx.gz").read_bytes()))
    checkpoint = OnnxCheckpoint(path)
    return import_onnx(checkpoint, sizes), lambda tensor: checkpoint.graph.initializers[tensor].array()


def _parameters(network: Network, read: Any) -> dict[str, Any]:
    found = {}
    for name, source in network.sources.items():
        if isinstance(source, WeightSource):
            found[name] = read(source.tensor).astype(np.float32)
        else:
            found[name] = np.asarray(source.compute(*(read(t).astype(np.float32) for t in source.tensors)), np.float32)
        assert found[name].shape == network.shapes[name]
    return found


def _run(network: Network, read: Any, arrays: list[Any]) -> list[Any]:
    inputs = {}
    for item, array in zip(network.functions[0].inputs, arrays, strict=True):
        inputs[item.name] = array.astype(item.dtype)
    known = {**inputs, **_parameters(network, read)}
    if network.chain is None:
        return evaluate(network.build(), network.functions[0].name, known)
    for function in network.functions:
        found = evaluate(network.build(), function.name, known)
        known |= dict(zip(function.outputs, found, strict=True))
        known |= {cut: known[x][: known[count][0]] for cut, (x, count) in network.chain.cuts.items() if count in known}
    return [known[name] for name in network.chain.outputs]


def _expected(name: str) -> tuple[list[Any], list[Any]]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        sides = [[arrays[f"{side}{i}"] for i in range(99) if f"{side}{i}" in arrays] for side in ("in", "out")]
    return sides[0], sides[1]


def _operations(network: Network) -> Counter[str]:
    (block,) = network.build()[network.functions[0].name].body.blocks
    return Counter(operation(binding.value) for binding in block.bindings)


def _assert_close(found: list[Any], wanted: list[Any], tolerance: float = 1e-5) -> None:
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, float(np.abs(theirs).max())))


@pytest.mark.parametrize("name", [*EXPORTED, *ONNX])
def test_a_graph_computes_what_pytorch_computed(name: str, tmp_path: Path) -> None:
    network, read = _imported(name, tmp_path)
    inputs, wanted = _expected(name)
    assert all(np.abs(array).max() > 1e-3 for array in wanted)
    _assert_close(_run(network, read, inputs), wanted, STEPS.get(name, 1e-5))


# What must be back together: operation and how often.
WHOLE = {
    "vit": {"hearth.linear": 14, "hearth.attention": 2, "nn.layer_norm": 5, "nn.gelu": 2, "hearth.conv2d": 0},
    "vit_opset14": {"hearth.linear": 14, "hearth.attention": 2, "nn.layer_norm": 5, "nn.gelu": 2, "sqrt": 0, "erf": 0},
    "bert_opset14": {"hearth.linear": 12, "hearth.attention": 2, "nn.layer_norm": 5, "nn.gelu": 2},
    "dinov2_opset18": {"hearth.linear": 13, "hearth.attention": 2, "nn.layer_norm": 5, "nn.gelu": 2, "multiply": 0},
    "swin": {"hearth.attention": 4, "nn.softmax": 0},
    "swinv2": {"hearth.attention": 4, "nn.softmax": 0},
    "swin_opset17": {"hearth.attention": 4, "nn.softmax": 0, "nn.gelu": 4},
    "t5": {"nn.rms_norm": 5, "hearth.attention": 2},
    "resnet": {"hearth.conv2d": 8, "hearth.linear": 9, "multiply": 0, "permute_dims": 1},
    "mobile": {"hearth.conv2d": 2, "hearth.conv2d_transpose": 1, "nn.silu": 1, "permute_dims": 2},
    "mobile_opset11": {"hearth.conv2d": 2, "hearth.conv2d_transpose": 1, "nn.silu": 1, "permute_dims": 2},
    "unet_opset20": {"nn.group_norm": 21, "hearth.attention": 8, "permute_dims": 2},
    "swinv2_opset20": {"hearth.attention": 4, "nn.softmax": 0},
    "segformer_opset14": {"hearth.attention": 4, "nn.layer_norm": 19, "nn.gelu": 4},
    "pooled_opset20": {"hearth.linear": 12, "hearth.attention": 2, "nn.layer_norm": 5, "nn.gelu": 2},
    "pooled_bytes": {"hearth.linear": 12, "nn.layer_norm": 5, "nn.gelu": 2},
    "recurrent_opset17": {"hearth.recurrent": 6, "hearth.linear": 6},
    "mobile_bytes": {"hearth.conv2d": 2, "hearth.conv2d_transpose": 1},
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_an_exporter_took_apart_is_whole_again(name: str, tmp_path: Path) -> None:
    operations = _operations(_imported(name, tmp_path)[0])
    assert {key: operations[key] for key in WHOLE[name]} == WHOLE[name]


@pytest.mark.parametrize("name", ["vit_opset14", "dinov2_opset18"])
def test_an_open_batch_takes_several(name: str, tmp_path: Path) -> None:
    network, read = _imported(name, tmp_path)
    assert network.symbols == {"batch": (1, 8)}
    (image,), (wanted,) = _expected(name)
    found = _run(network, read, [np.concatenate([image, image[..., ::-1], image])])
    _assert_close([found[0][:1], found[0][2:]], [wanted, wanted])


def test_an_open_length_and_a_fixed_one(tmp_path: Path) -> None:
    (ids, mask), (wanted,) = _expected("bert_opset14")
    network, read = _imported("bert_opset14", tmp_path, {"batch": (1, 2), "length": (1, 16)})
    assert network.symbols == {"batch": (1, 2), "length": (1, 16)}
    _assert_close(_run(network, read, [ids, mask]), [wanted])
    assert network.functions[0].inputs[0].high == 59  # rows of the table of words
    fixed, read = _imported("bert_opset14", tmp_path, {"batch": 1, "length": ids.shape[1]})
    assert not fixed.symbols
    _assert_close(_run(fixed, read, [ids, mask]), [wanted])


@pytest.mark.parametrize("name", ["pooled", "pooled_opset20", "deberta_opset17"])
def test_what_is_masked_may_as_well_be_away(name: str, tmp_path: Path) -> None:
    """A row of a batch, cut where its mask ends: both sizes are others than those of the export."""
    network, read = _imported(name, tmp_path)
    (ids, mask), (wanted,) = _expected(name)
    count = int(mask[0].sum())
    assert 0 < count < mask.shape[1]
    expected = wanted[:1] if wanted.ndim == 2 else wanted[:1, :count]
    _assert_close(_run(network, read, [ids[:1, :count], mask[:1, :count]]), [expected])


def test_a_length_is_at_most_what_the_table_of_positions_holds(tmp_path: Path) -> None:
    network, _ = _imported("pooled_opset20", tmp_path)
    assert network.symbols["length"] == (1, 16)


def test_a_size_that_the_graph_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no size .Batch.*leave open: batch, length.*Did you mean batch"):
        _imported("bert_opset14", tmp_path, {"Batch": 1})


def test_weights_stay_in_the_file(tmp_path: Path) -> None:
    network, _ = _imported("vit_opset14", tmp_path)
    linear = [name for name, role in network.roles.items() if role == "body"]
    assert len(linear) == 14
    for name in linear:
        source = network.sources[name]
        assert isinstance(source, WeightSource) or len(source.tensors) == 1


def test_a_scale_of_its_own_is_kept_and_a_grid_gives_the_right_shape() -> None:
    """PyTorch programs read by others have lost these without a word."""
    network, read = _imported("functions", Path())
    (x, y, grid), wanted = _expected("functions")
    found = _run(network, read, [x, y, grid])
    scores = np.einsum("bhnd,bhmd->bhnm", x, y)  # scale 1, not 1 / sqrt(8)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    np.testing.assert_allclose(found[0], weights / weights.sum(-1, keepdims=True) @ y, rtol=1e-4, atol=1e-5)
    assert found[3].shape == (1, 4, *grid.shape[1:3]) == wanted[3].shape


def _graph(nodes: list[bytes], tmp_path: Path, **about: Any) -> Network:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.model(nodes, [onnx.value("x", ["n", 8])], [onnx.value("y", ["n", 8])], **about))
    return import_onnx(OnnxCheckpoint(path))


def test_unknown_operations_are_told_all_at_once_with_their_places(tmp_path: Path) -> None:
    nodes = [
        onnx.node("Unique", ["x"], ["a"], name="/head/unique"),
        onnx.node("Relu", ["a"], ["b"]),
        onnx.node("Flash", ["b"], ["y"], domain="my.ops"),
        onnx.node("AlsoUnknown", ["x"], ["unused"]),
    ]
    with pytest.raises(Unsupported, match="2 operations") as raised:
        _graph(nodes, tmp_path)
    assert raised.value.why == "Unique (node '/head/unique', output 'a'); my.ops.Flash ('y')."


def test_what_cannot_be_converted_is_told_with_its_reason(tmp_path: Path) -> None:
    nodes = [
        onnx.node("Expand", ["x", "x"], ["a"], name="find"),
        onnx.node("MatMul", ["x", "x"], ["b"], name="square"),
        onnx.node("Add", ["b", "b"], ["y"], name="after"),
        onnx.node("Concat", ["a", "y"], ["z"], axis=0),
    ]
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.model(nodes, [onnx.value("x", [4, 8])], [onnx.value("z", [4, 8])]))
    with pytest.raises(Unsupported, match="2 operations") as raised:
        import_onnx(OnnxCheckpoint(path))
    assert "Expand (node 'find', output 'a'): its sizes depend on the values of the inputs" in raised.value.why
    assert "MatMul (node 'square', output 'b')" in raised.value.why
    assert "after" not in raised.value.why


def test_a_constant_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    nodes = [onnx.node("ConstantOfShape", ["s"], ["c"]), onnx.node("Add", ["x", "c"], ["y"])]
    with pytest.raises(Unsupported, match="A constant of"):
        _graph(nodes, tmp_path, initializers={"s": np.array([1 << 20, 1 << 14], np.int64)})


def test_old_operators_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="version 6"):
        _graph([onnx.node("Relu", ["x"], ["y"])], tmp_path, opset=6)


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("gelu", lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2)))),
        ("gelu_tanh", lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    ],
)
def test_activations_are_found_however_they_are_written(name: str, curve: Any, tmp_path: Path) -> None:
    inner = {
        "gelu": [onnx.node("Mul", ["x", "root"], ["s"]), onnx.node("Erf", ["s"], ["e"])],
        "gelu_tanh": [
            onnx.node("Mul", ["x", "x"], ["x2"]),
            onnx.node("Mul", ["x2", "x"], ["x3"]),
            onnx.node("Mul", ["cubic", "x3"], ["c"]),
            onnx.node("Add", ["x", "c"], ["t"]),
            onnx.node("Mul", ["t", "pi"], ["u"]),
            onnx.node("Tanh", ["u"], ["e"]),
        ],
    }[name]
    outer = [
        onnx.node("Mul", ["half", "x"], ["h"]),
        onnx.node("Add", ["one", "e"], ["g"]),
        onnx.node("Mul", ["g", "h"], ["y"]),
    ]
    numbers = {"root": math.sqrt(0.5), "cubic": 0.044715, "pi": math.sqrt(2 / math.pi), "half": 0.5, "one": 1.0}
    initializers = {key: np.array(value, np.float32) for key, value in numbers.items()}
    network = _graph([*inner, *outer], tmp_path, initializers=initializers)
    assert set(_operations(network)) == {f"nn.{name}", ""}
    x = np.linspace(-4, 4, 16, dtype=np.float32).reshape(2, 8)
    np.testing.assert_allclose(_run(network, None, [x])[0], np.vectorize(curve)(x), atol=1e-6)


@pytest.mark.reference
def test_a_part_that_is_changed_in_place_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Sets(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            y = x * 2
            y[:, 0] = 1.0
            return y

    program = torch.export.export(Sets(), (torch.ones(2, 3),))
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.raises(Unsupported, match="changes a part of a tensor in place"):
        import_exported(ExportedProgram(tmp_path / "model.pt2"))
    torch.export.save(program.run_decompositions({}), tmp_path / "model.pt2")
    whole = ExportedProgram(tmp_path / "model.pt2")
    found = _run(import_exported(whole), whole.array, [np.ones((2, 3), np.float32)])
    np.testing.assert_array_equal(found[0], [[1, 2, 2], [1, 2, 2]])


def test_a_damaged_program(tmp_path: Path) -> None:
    whole = (GOLDEN / "vit.pt2").read_bytes()
    path = tmp_path / "model.pt2"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFile, match="no sound zip archive"):
        ExportedProgram(path)


@pytest.mark.parametrize(
    ("node", "numbers", "said"),
    [
        (("TopK", ["x", "n"], ["y", "z"]), {"n": np.array([99])}, "best 99 of 8"),
        (("OneHot", ["x", "n", "v"], ["y"]), {"n": np.array([1 << 33]), "v": np.zeros(2, np.float32)}, "more than"),
        (("Range", ["a", "b", "c"], ["y"]), {"a": np.array(0), "b": np.array(1 << 40), "c": np.array(1)}, "more than"),
        (("Conv", ["m", "w"], ["y"]), {"w": np.zeros((4, 3, 1, 1), np.float32)}, "do not go with 2 channels"),
        (("Conv", ["m", "w"], ["y"], {"strides": [0, 1]}), {"w": np.zeros((4, 2, 1, 1), np.float32)}, "are none"),
        (("MaxPool", ["m"], ["y"], {"kernel_shape": [1, 0]}), {}, "are none"),
        (("Reshape", ["x", "s"], ["y"]), {"s": np.array([-3, 2])}, "a size of -3"),
        (("Resize", ["m", "", "s"], ["y"]), {"s": np.array([1, 1, 1e6, 1e6], np.float32)}, "more than"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_numbers_that_nobody_means_are_refused(node: Any, numbers: Any, said: str, tmp_path: Path) -> None:
    op, reads, makes, *about = node
    path = tmp_path / "model.onnx"
    inputs = [onnx.value("x", [8]), onnx.value("m", [1, 2, 9000, 9000])]
    path.write_bytes(onnx.model([onnx.node(op, reads, makes, **(about or [{}])[0])], inputs, [onnx.value("y", [1])],
                                numbers))  # fmt: skip
    with pytest.raises(Unsupported, match=said):
        import_onnx(OnnxCheckpoint(path))
