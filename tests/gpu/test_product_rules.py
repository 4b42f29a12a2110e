"""Products of a graph become steps of a plan, of which those run that are meant for so many rows: against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tvm")

from tests.gpu.plans import PlanRun
from tests.gpu.products import Packed, assert_close, expected, normed, padded
from tvm import relax, tirx
from tvm.relax import op

from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.compiler.gpu.lowering import GpuLowered, lower
from hearth.compiler.gpu.rules import parts
from hearth.compiler.pipeline import logical
from hearth.compiler.plan import Plan
from hearth.model.network import TEXT_DOOR, Function, Input, Network
from hearth.model.ops import f32_tensor, linear
from hearth.quant import FORMATS, Format
from hearth.quant.rotation import rotate_activations, rotated_vectors

VOCABULARY, HIDDEN, INNER, EPSILON = 200, 96, 128, 1e-5
SHAPES = {
    "embed": (VOCABULARY, HIDDEN),
    "norm": (HIDDEN,),
    "layers.0.norm": (HIDDEN,),
    "layers.0.gate": (INNER, HIDDEN),
    "layers.0.up": (INNER, HIDDEN),
    "layers.0.down": (HIDDEN, INNER),
}


def formats(body: str, down: str) -> dict[str, Format]:
    return {
        "embed": FORMATS["q8"],
        "layers.0.gate": FORMATS[body],
        "layers.0.up": FORMATS[body],
        "layers.0.down": FORMATS[down],
    }


def build() -> Any:
    """One block of a decoder, without attention."""
    bb, tokens, picked = relax.BlockBuilder(), tirx.Var("tokens", "int64"), tirx.Var("picked", "int64")
    ids = relax.Var("token_ids", relax.TensorType([tokens], "int32"))
    rows = relax.Var("rows", relax.TensorType([picked], "int32"))
    p = {name: relax.Var(name, f32_tensor(*shape)) for name, shape in SHAPES.items()}

    def norm(x: Any, weight: str) -> Any:
        return bb.emit(op.nn.rms_norm(x, p[weight], axes=-1, epsilon=EPSILON))

    with bb.function("forward", [ids, rows, *p.values()], attrs={"num_input": 2}):
        with bb.dataflow():
            x = bb.emit(op.take(p["embed"], ids, axis=0))
            x = bb.emit(op.multiply(x, relax.const(3.0, "float32")))
            h = norm(x, "layers.0.norm")
            gate = bb.emit(op.nn.silu(bb.emit(linear(h, p["layers.0.gate"]))))
            inner = bb.emit(op.multiply(gate, bb.emit(linear(h, p["layers.0.up"]))))
            x = bb.emit(op.add(x, bb.emit(linear(inner, p["layers.0.down"]))))
            chosen = bb.emit(op.take(norm(x, "norm"), rows, axis=0))
            logits = bb.emit(linear(chosen, p["embed"]))
            best = bb.emit(op.argmax(logits, axis=1))
            out = bb.emit_output(relax.Tuple([logits, best, x]))
        bb.emit_func_output(out)
    return bb.get()


def lowered(of: dict[str, Format]) -> GpuLowered:
    inputs = Input("token_ids", "int32", 0, VOCABULARY - 1), Input("rows", "int32", 0, ("tokens", -1))
    network = Network(
        functions=(Function("forward", inputs, ("logits", "argmax", "x"), TEXT_DOOR),),
        symbols={"tokens": (1, 100), "picked": (0, 64)},
        shapes=SHAPES,
        sources={},
        build=build,
        roles=dict.fromkeys(of, "body"),
    )
    return lower(logical(network, of), Plan(network.symbols, scratch_bytes=0))


def turned(x: Any, fmt: Format) -> Any:
    """Activations as a matrix in this format wants them: those with a scale a row are rotated."""
    return rotate_activations(x, rotated_vectors(x.shape[1]) if fmt.is_row else 1)


class Model:
    """Its weights, and what numpy says of a call."""

    def __init__(self, of: dict[str, Format]) -> None:
        self.matrices = {
            "embed": Packed(of["embed"], VOCABULARY, HIDDEN),
            "layers.0.gate_up": Packed(of["layers.0.gate"], 2 * INNER, HIDDEN, seed=1),
            "layers.0.down": Packed(of["layers.0.down"], HIDDEN, INNER, seed=2),
        }
        rng = np.random.default_rng(5)
        self.gains = {name: rng.normal(size=HIDDEN) for name in ("norm", "layers.0.norm")}

    @property
    def weights(self) -> dict[str, Any]:
        gains = {name: padded(gain[None])[0].view(np.uint8) for name, gain in self.gains.items()}
        return {name: matrix.bytes for name, matrix in self.matrices.items()} | gains

    def expected(self, ids: Any, rows: Any) -> tuple[Any, Any]:
        """(logits, x)"""
        embed, gate_up, down = (matrix.values for matrix in self.matrices.values())
        x = 3 * embed[ids]
        gate, last = (self.matrices[name].fmt for name in ("layers.0.gate_up", "layers.0.down"))
        gated = ProductSpec(gate, epilogue="gated", activation="silu")
        h = turned(normed(x, self.gains["layers.0.norm"], EPSILON), gate)
        x = x + turned(expected(gated, h, gate_up), last) @ down.T
        return normed(x, self.gains["norm"], EPSILON)[rows] @ embed.T, x


@pytest.mark.parametrize(
    ("body", "small_parts"),
    [(("q4", "q6_k"), False), (("q4", "q6_k"), True), (("i8", "i8"), False)],
    ids=["groups", "parts", "rows"],
)
@pytest.mark.parametrize(
    ("tokens", "picked", "kernels"),
    [(1, 1, ("rows1", "rows1")), (5, 3, ("rows4", "rows4")), (33, 0, ("tile", "")), (70, 40, ("tile", "tile"))],
)
def test_the_steps_that_run_are_those_for_so_many_rows(
    tokens: int, picked: int, kernels: tuple[str, str], body: tuple[str, str], small_parts: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if small_parts:  # as if no more than a part of each matrix could be bound
        monkeypatch.setattr(parts, "MAX_BINDING_BYTES", 16000)
    of = formats(*body)
    model, rng = Model(of), np.random.default_rng(tokens)
    ids = rng.integers(0, VOCABULARY, tokens).astype(np.int32)
    rows = rng.integers(0, tokens, picked).astype(np.int32)
    run = PlanRun(lowered(of), model.weights, {"token_ids": ids, "rows": rows}, {"tokens": tokens, "picked": picked})
    products = [name for name in run.ran if name.startswith(("rows", "tile"))]
    layer, head = ([name for name in products if ("logits" in name) == is_head] for is_head in (False, True))
    assert all(name.startswith(kernels[0]) for name in layer)
    assert all(name.startswith(kernels[1]) for name in head)
    logits, x = model.expected(ids, rows)
    assert_close(run.results["x"], x, 1e-5)
    if picked:
        assert_close(run.results["logits"], logits, 1e-5)
        np.testing.assert_array_equal(run.results["argmax"], logits.argmax(axis=1))
    if body[0] == "q4" and not small_parts:
        assert len(run.ran) == (5 if picked else 3), "lookup, gate and up, down, head, argmax: norms cost no step"
    elif body[0] == "q4" and 0 < picked <= 32:
        # Of the table's four parts a kernel for a few rows takes three, the lookup all.
        assert len(run.ran) == 6
        assert head[0].endswith("_of3")
