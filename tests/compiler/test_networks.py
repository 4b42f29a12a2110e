"""Networks of any kind compiled and run, against the evaluator of graphs: symbolic sizes, rows of any length, functions
that share weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.compiled import shared_cache
from tvm import relax, tirx
from tvm.relax import op

from hearth.compiler.compile import Job, compile_job
from hearth.compiler.passes.rotations import rotations
from hearth.model import ops
from hearth.model.evaluate import evaluate
from hearth.model.network import Function, Input, Network, Role
from hearth.model.weights import constant
from hearth.quant.formats import FORMATS
from hearth.runtime import Model, Session

Arrays = Mapping[str, NDArray[np.float32]]
BATCH = tirx.Var("batch", "int64")


def array(*shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    return (np.random.default_rng(shape).standard_normal(shape) * scale).astype(np.float32)


class NoCheckpoint:
    """Every parameter is a constant."""

    tensors: Mapping[str, Any] = {}

    def fingerprint(self) -> str:
        return "none"


def network(functions: Mapping[str, Callable[[Any, dict[str, Any]], Any]], parameters: Arrays, x: Any) -> Network:
    """Functions of one input `x` (batch, ...), each written by what it is called with: an emitter and variables."""

    def build() -> Any:
        made = {}
        for name, write in functions.items():
            builder = relax.BlockBuilder()
            shape = (BATCH, *x.shape[1:])
            variables = {"x": relax.Var("x", ops.f32_tensor(*shape))}
            variables |= {p: relax.Var(p, ops.f32_tensor(*value.shape)) for p, value in parameters.items()}
            with builder.function(name, list(variables.values()), attrs={"num_input": 1}):
                with builder.dataflow():
                    results = builder.emit_output(relax.Tuple(write(builder.emit, variables)))
                builder.emit_func_output(results)
            made[name] = builder.get()[name]
        import tvm

        return tvm.IRModule(made)

    module = build()
    outputs = {name: len(module[name].ret_ty.fields) for name in functions}
    return Network(
        functions=tuple(
            Function(name, (Input("x", "float32"),), tuple(f"out{i}" for i in range(outputs[name])))
            for name in functions
        ),
        symbols={"batch": (1, 8)},
        shapes={name: value.shape for name, value in parameters.items()},
        sources={name: constant(value) for name, value in parameters.items()},
        roles={name: _role(name) for name in parameters},
        build=build,
    )


def _role(name: str) -> Role:
    return "body" if name.startswith("w") else "exact"


def compiled(made: Network, folder: Path, fmt: str = "f32") -> Path:
    formats = {name: FORMATS[fmt] for name in made.shapes if made.role(name) == "body"}
    precision: Any = "high" if fmt == "f32" else "default"
    checkpoint: Any = NoCheckpoint()
    job = Job("test", "graph", "test", made, checkpoint, formats, fmt, precision, "", lambda path: None)
    with shared_cache():
        return compile_job(job, output=folder)


def arithmetic(e: Any, v: dict[str, Any]) -> list[Any]:
    """Rows of 20 and 24 columns, which padding lies between, and all that moves them."""
    y = e(op.add(v["x"], v["p"]))
    g = e(op.nn.gelu(e(ops.linear(y, v["w"], v["b"]))))
    twice = e(op.concat([g, e(op.multiply(g, relax.const(2.0, "float32")))], axis=2))
    first = e(op.broadcast_to(e(op.strided_slice(v["p"], [0], [0], [1])), (BATCH, 1, 20)))
    longer = e(op.concat([first, y], axis=1))
    part = e(relax.TupleGetItem(e(op.split(twice, 3, 2)), 1))
    z = e(op.subtract(part, relax.const(np.arange(16, dtype=np.float32))))
    bounded = e(op.divide(e(op.sigmoid(z)), e(op.add(e(op.exp(z)), relax.const(1.0, "float32")))))
    return [
        e(op.reshape(e(op.permute_dims(g, [0, 2, 1])), (BATCH, 120))), e(op.mean(g, [1])), e(op.max(g, [2])), twice,
        longer, e(op.strided_slice(longer, [1], [-1], [6])), bounded,
    ]  # fmt: skip


def perceptron(e: Any, v: dict[str, Any]) -> list[Any]:
    h = e(op.nn.layer_norm(v["x"], v["g"], v["b"], axes=[-1], epsilon=1e-6))
    h = e(op.nn.gelu(e(ops.linear(h, v["w1"], v["b1"]))))
    return [e(op.add(v["x"], e(ops.linear(h, v["w2"]))))]


def test_what_is_added_to_a_product_may_be_broadcast_and_come_first(tmp_path: Path) -> None:
    """A table of positions is no residual: it is the same for every item of the batch."""

    def write(e: Any, v: dict[str, Any]) -> list[Any]:
        y = e(ops.linear(v["x"], v["w"]))
        z = e(ops.linear(y, v["w2"]))
        return [e(op.add(v["p"], y)), e(op.add(z, v["x"]))]

    x, parameters = array(3, 7, 32), {"w": array(48, 32), "w2": array(32, 48), "p": array(7, 48)}
    made = network({"f": write}, parameters, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        got = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **parameters})):
            np.testing.assert_allclose(got[f"out{i}"], expected, rtol=1e-4, atol=1e-3, err_msg=f"output {i}")


@pytest.mark.parametrize("batch", [1, 3])
def test_any_arithmetic_on_rows_of_any_length(batch: int, tmp_path: Path) -> None:
    x, parameters = array(batch, 5, 20), {"w": array(24, 20), "p": array(5, 20), "b": array(24)}
    made = network({"f": arithmetic}, parameters, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        got = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **parameters})):
            np.testing.assert_allclose(got[f"out{i}"], expected, rtol=1e-5, atol=2e-6, err_msg=f"output {i}")


@pytest.mark.parametrize(("fmt", "error"), [("f32", 1e-6), ("q8", 0.02), ("i8", 0.03), ("i4", 0.2)])
def test_every_arithmetic_of_products(fmt: str, error: float, tmp_path: Path) -> None:
    x = array(2, 50, 96)
    parameters = {name: array(size) for name, size in (("g", 96), ("b", 96), ("b1", 200))}
    parameters |= {"w1": array(200, 96, scale=0.2), "w2": array(96, 200, scale=0.2)}
    made = network({"f": perceptron}, parameters, x)
    (expected,) = evaluate(made.build(), "f", {"x": x, **parameters})
    folder = compiled(made, tmp_path / "bundle", fmt)
    with Model(folder) as model, Session(model, threads=1) as one, Session(model, threads=2) as two:
        alone, shared = (session.run("f", {"x": x})["out0"].copy() for session in (one, two))
    np.testing.assert_array_equal(alone, shared)
    assert np.abs(alone - expected).max() < error * np.abs(expected).max()


def with_outliers(e: Any, v: dict[str, Any]) -> list[Any]:
    """Two of these matrices are rotated, one of them behind rows that are left as bytes. Of the others one is read
    behind a ReLU too, and one is too narrow."""
    h = e(op.nn.layer_norm(v["x"], v["g"], v["b"], axes=[-1], epsilon=1e-6))
    left = e(op.nn.gelu(e(ops.linear(h, v["w1"], v["b1"]))))
    twice = [e(ops.linear(e(op.nn.relu(h)), v["w3"])), e(ops.linear(h, v["w3"]))]
    narrow = e(ops.linear(e(op.strided_slice(h, [2], [0], [48])), v["w4"]))
    return [e(ops.linear(left, v["w2"])), *twice, narrow]


@pytest.mark.parametrize(("fmt", "error"), [("i8", 0.02), ("i4", 0.12)])
def test_outliers_of_rows_are_rotated_away(fmt: str, error: float, tmp_path: Path) -> None:
    """With one scale a row, the few channels of a norm that are large would leave the others few integers."""
    x, g = array(1, 200, 256), array(256)
    g[[5, 70]] *= 20
    shapes = {"w1": (128, 256), "w2": (64, 128), "w3": (32, 256), "w4": (16, 48)}
    parameters = {"g": g, "b": array(256), "b1": array(128)}
    parameters |= {name: array(*shape, scale=0.2) for name, shape in shapes.items()}
    made = network({"f": with_outliers}, parameters, x)
    assert rotations(made.build(), dict.fromkeys(shapes, FORMATS[fmt])) == {"w1": 16, "w2": 8}
    assert rotations(made.build(), dict.fromkeys(shapes, FORMATS["q8"])) == {}
    with Model(compiled(made, tmp_path / "bundle", fmt)) as model, Session(model, threads=2) as session:
        got = session.run("f", {"x": x})
        differences = [
            np.linalg.norm(got[f"out{i}"] - expected) / np.linalg.norm(expected)
            for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **parameters}))
        ]
    assert differences[0] < error  # 0.016 and 0.104; 0.029 and 0.116 without
    assert max(differences) < 0.12


def test_functions_share_weights_and_take_turns(tmp_path: Path) -> None:
    def once(e: Any, v: dict[str, Any]) -> list[Any]:
        return [e(ops.linear(v["x"], v["w"]))]

    def twice(e: Any, v: dict[str, Any]) -> list[Any]:
        return [e(op.nn.relu(e(ops.linear(e(ops.linear(v["x"], v["w"])), v["w"]))))]

    x, w = array(3, 32), array(32, 32, scale=0.2)
    made = network({"once": once, "twice": twice}, {"w": w}, x)
    folder = compiled(made, tmp_path / "bundle")
    with Model(folder) as model, Session(model, threads=2) as session:
        assert model.info.num_weights == 1
        for name, expected in (("once", x @ w.T), ("twice", np.maximum(x @ w.T @ w.T, 0)), ("once", x @ w.T)):
            np.testing.assert_allclose(session.run(name, {"x": x})["out0"], expected, rtol=1e-4, atol=1e-5)


def dense(e: Any, v: dict[str, Any]) -> list[Any]:
    q, k, value = (e(ops.linear(v["x"], v[f"w{i}"], v[f"b{i}"])) for i in range(3))
    return [
        e(ops.attention(q, k, value, v[bias], num_heads=2, scale=0.25)) if bias else
        e(ops.attention(q, k, value, num_heads=2, scale=0.25))
        for bias in ("", "keys", "pairs")
    ]  # fmt: skip


def rotated(e: Any, v: dict[str, Any]) -> list[Any]:
    """Queries and keys of tokens that are turned by where they are."""
    q, k, value = (e(ops.linear(v["x"], v[f"w{i}"], v[f"b{i}"])) for i in range(3))
    q, k = (e(ops.rotary(x, v["cos"], v["sin"], num_heads=2)) for x in (q, k))
    return [e(ops.attention(q, k, value, num_heads=2, scale=0.25))]


def windows(e: Any, v: dict[str, Any]) -> list[Any]:
    q, k, value = (e(op.reshape(e(ops.linear(v["x"], v[f"w{i}"], v[f"b{i}"])), (BATCH, 8, 12, 40))) for i in range(3))
    how = {"num_heads": 2, "scale": 0.25, "window": (4, 4), "shift": (2, 2)}
    return [e(ops.window_attention(q, k, value, v["relative"], **how))]


@pytest.mark.parametrize(("fmt", "error"), [("f32", 1e-5), ("i8", 0.03)])
def test_attention_between_products(fmt: str, error: float, tmp_path: Path) -> None:
    """With a scale a row products of attention are of bytes too."""
    x = array(2, 96, 40)
    parameters = {f"w{i}": array(40, 40, scale=0.15) for i in range(3)} | {f"b{i}": array(40) for i in range(3)}
    parameters |= {"keys": array(1, 1, 1, 96), "pairs": array(1, 2, 96, 96), "relative": array(2, 16, 16)}
    turns = np.random.default_rng(3).uniform(0, 6, (96, 10))
    parameters |= {"cos": np.cos(turns).astype(np.float32), "sin": np.sin(turns).astype(np.float32)}
    made = network({"dense": dense, "rotated": rotated, "windows": windows}, parameters, x)
    with Model(compiled(made, tmp_path / "bundle", fmt)) as model, Session(model, threads=2) as session:
        kernels = {step.kernel for step in session.read_profile() if step.label == "attention"}
        assert len(kernels) == 4  # without a bias, with one of keys, with one of pairs; of windows
        assert all(kernel.endswith("int8") == (fmt == "i8") for kernel in kernels)
        for name in ("dense", "rotated", "windows"):
            got = session.run(name, {"x": x})
            for i, expected in enumerate(evaluate(made.build(), name, {"x": x, **parameters})):
                difference = np.linalg.norm(got[f"out{i}"] - expected)
                assert difference < error * np.linalg.norm(expected), (name, i, difference / np.linalg.norm(expected))


def contractions(e: Any, v: dict[str, Any]) -> list[Any]:
    """Products of two activations, broadcast, and with constants on either side; axes that are repeated."""
    turned = e(op.permute_dims(v["x"], [0, 1, 3, 2]))
    scores = e(op.matmul(v["x"], turned))
    return [
        scores, e(op.matmul(scores, v["x"])), e(op.matmul(v["p"], turned)), e(op.matmul(v["q"], v["x"])),
        e(op.einsum((v["x"], v["r"]), "bhwc,hkc->bhwk")), e(op.einsum((v["x"], v["r"]), "bhwc,wkc->bhwk")),
        e(op.einsum((v["x"],), "bhwc->bchw")), e(op.repeat(v["x"], 2, 1)), e(op.repeat(v["x"], 3, 3)),
    ]  # fmt: skip


def test_products_of_activations(tmp_path: Path) -> None:
    x, parameters = array(3, 7, 7, 20), {"p": array(9, 20), "q": array(7, 5, 7), "r": array(7, 18, 20)}
    made = network({"f": contractions}, parameters, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        found = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **parameters})):
            np.testing.assert_allclose(found[f"out{i}"], expected, rtol=1e-5, atol=2e-5, err_msg=f"output {i}")


def places(e: Any, v: dict[str, Any]) -> list[Any]:
    return [
        e(op.argmax(v["x"], axis=2)), e(op.argmin(v["x"], axis=1)), e(op.argmax(v["x"], axis=-1, keepdims=True)),
    ]  # fmt: skip


def test_places_of_the_largest_and_smallest(tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(0, 5, (3, 6, 7)).astype(np.float32)  # with many that are equal
    x[1, 2, 4] = np.nan
    made = network({"f": places}, {}, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        found = session.run("f", {"x": x})
        for i, expected in enumerate((x.argmax(2), x.argmin(1), x.argmax(2)[..., None])):
            np.testing.assert_array_equal(found[f"out{i}"], expected, err_msg=f"output {i}")


def gated_twice(e: Any, v: dict[str, Any]) -> list[Any]:
    """Each time two matrices become one; their names do not tell the layers apart."""
    return [
        e(op.multiply(e(op.nn.silu(e(ops.linear(v["x"], v[gate])))), e(ops.linear(v["x"], v[up]))))
        for gate, up in (("w1", "w2"), ("w3", "w4"), ("w1", "w4"))
    ]


def test_parameters_whose_names_are_no_paths(tmp_path: Path) -> None:
    x, parameters = array(2, 3, 20), {f"w{i}": array(24, 20, scale=i) for i in range(1, 5)}
    made = network({"f": gated_twice}, parameters, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=1) as session:
        found = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **parameters})):
            np.testing.assert_allclose(found[f"out{i}"], expected, rtol=1e-5, atol=2e-5, err_msg=f"output {i}")


def whole_numbers(e: Any, v: dict[str, Any]) -> list[Any]:
    """Floats become integers and truth, are moved and reckoned with as such, and become floats again."""
    n = e(op.astype(e(op.multiply(v["x"], relax.const(9.0, "float32"))), "int32"))
    pairs = e(op.permute_dims(e(op.add(n, relax.const(3, "int32"))), [0, 2, 1]))
    spread = e(op.broadcast_to(e(op.expand_dims(pairs, 1)), (BATCH, 2, 7, 5)))
    even = e(op.equal(e(op.multiply(e(op.divide(n, relax.const(2, "int32"))), relax.const(2, "int32"))), n))
    known = e(op.logical_and(e(op.logical_not(even)), e(op.astype(n, "bool"))))
    return [n, spread, e(op.where(known, v["x"], e(op.astype(n, "float32"))))]


def test_integers_between_operations(tmp_path: Path) -> None:
    x = array(3, 5, 7)
    made = network({"f": whole_numbers}, {}, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        found = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x})):
            np.testing.assert_array_equal(found[f"out{i}"], expected, err_msg=f"output {i}")
            assert found[f"out{i}"].dtype == expected.dtype


def chosen(e: Any, v: dict[str, Any]) -> list[Any]:
    order = e(op.astype(v["x"], "int32"))
    return [e(op.gather_elements(v["x"], order, axis=1)), e(op.gather_elements(v["x"], order, axis=2))]


def test_elements_chosen_along_an_axis(tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(0, 6, (3, 6, 7)).astype(np.float32)
    made = network({"f": chosen}, {}, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        found = session.run("f", {"x": x})
        for axis in (1, 2):
            expected = np.take_along_axis(x, x.astype(np.int64), axis)
            np.testing.assert_array_equal(found[f"out{axis - 1}"], expected)


def reductions(e: Any, v: dict[str, Any]) -> list[Any]:
    """Over axes that stand together and apart, with axes of one and of several behind them."""
    return [
        e(op.mean(v["x"], [1, 3])), e(op.sum(v["x"], [1])), e(op.max(v["x"], [1, 3], keepdims=True)),
        e(op.min(v["x"], [0, 2])), e(op.sum(v["x"], [0, 1])), e(op.mean(v["x"], [2, 3], keepdims=True)),
    ]  # fmt: skip


def test_reductions_over_any_axes(tmp_path: Path) -> None:
    x = array(3, 4, 5, 20)
    made = network({"f": reductions}, {}, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        found = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x})):
            np.testing.assert_allclose(found[f"out{i}"], expected, rtol=1e-5, atol=1e-5, err_msg=f"output {i}")
