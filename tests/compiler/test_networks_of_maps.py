"""Convolutions and what goes with them, compiled and run, against the evaluator of graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.test_networks import array, compiled, network
from tvm.relax import op

from hearth.model import ops
from hearth.model.evaluate import evaluate
from hearth.runtime import Model, Session

WIDTH = 20


def residual_block(e: Any, v: dict[str, Any]) -> list[Any]:
    """As in a ResNet: what follows a convolution is done by it; one is read twice, and its ReLU stands alone."""
    same = {"padding": (1, 1, 1, 1)}
    h = e(op.nn.relu(e(ops.conv2d(v["x"], v["w1"], v["b1"], **same))))
    h = e(op.nn.relu(e(op.add(e(ops.conv2d(h, v["w2"], v["b1"], **same)), v["x"]))))
    twice = e(ops.conv2d(h, v["w1"], **same))
    down = e(ops.conv2d(h, v["w3"], strides=(2, 2), padding=(1, 1, 1, 1)))
    return [h, e(op.add(twice, e(op.nn.relu(twice)))), e(op.nn.silu(down)), e(op.add(v["x"], twice))]


def other_convolutions(e: Any, v: dict[str, Any]) -> list[Any]:
    """In groups, of single channels, dilated, of single pixels, transposed."""
    grouped = e(ops.conv2d(v["x"], v["w_groups"], groups=4, padding=(1, 1, 1, 1)))
    single = {"groups": WIDTH, "padding": (2, 2, 2, 2), "dilation": (2, 2)}
    depthwise = e(op.nn.gelu(e(ops.conv2d(v["x"], v["w_depthwise"], v["b1"], **single))))
    shortcut = e(ops.conv2d(depthwise, v["w_point"], strides=(2, 2)))
    up = e(ops.conv2d_transpose(v["x"], v["w1"], v["b1"], strides=(2, 2), padding=(1, 1, 1, 1), output_padding=(1, 1)))
    return [e(op.nn.relu(grouped)), depthwise, shortcut, up]


def bottlenecks(e: Any, v: dict[str, Any]) -> list[Any]:
    """As in a ResNet: a stream of maps that are only multiplied and added to, and the stage that halves it."""

    def block(x: Any, around: Any, strides: tuple[int, int]) -> Any:
        h = e(op.nn.relu(e(ops.linear(x, v["w_in"], v["b1"]))))
        h = e(op.nn.relu(e(ops.conv2d(h, v["w1"], v["b1"], strides=strides, padding=(1, 1, 1, 1)))))
        return e(op.nn.relu(e(op.add(e(ops.linear(h, v["w_out"], v["b_wide"])), around))))

    x = e(op.nn.relu(v["x"]))
    x = block(x, e(ops.linear(x, v["w_around"], v["b_wide"])), (1, 1))
    x = block(x, x, (1, 1))
    x = block(x, e(ops.conv2d(x, v["w_halve"], v["b_wide"], strides=(2, 2))), (2, 2))
    return [block(x, x, (1, 1))]


PARAMETERS = {
    "w_in": array(WIDTH, 40, scale=0.2),
    "w_out": array(40, WIDTH, scale=0.2),
    "w_around": array(40, 40, scale=0.2),
    "w_halve": array(40, 1, 1, 40, scale=0.2),
    "b_wide": array(40),
    "w1": array(WIDTH, 3, 3, WIDTH, scale=0.1),
    "w2": array(WIDTH, 3, 3, WIDTH, scale=0.1),
    "w3": array(36, 3, 3, WIDTH, scale=0.1),
    "b1": array(WIDTH),
    "w_groups": array(WIDTH, 3, 3, WIDTH // 4, scale=0.2),
    "w_depthwise": array(WIDTH, 3, 3, 1, scale=0.3),
    "w_point": array(24, 1, 1, WIDTH, scale=0.2),
}


@pytest.mark.parametrize(("fmt", "error"), [("f32", 2e-6), ("i8", 0.03)])
@pytest.mark.parametrize("write", [residual_block, other_convolutions])
def test_convolutions_compiled(write: Any, fmt: str, error: float, tmp_path: Path) -> None:
    x = array(2, 9, 11, WIDTH)
    made = network({"f": write}, PARAMETERS, x)
    folder = compiled(made, tmp_path / "bundle", fmt)
    with Model(folder) as model, Session(model, threads=1) as one, Session(model, threads=2) as two:
        alone, shared = ({k: v.copy() for k, v in s.run("f", {"x": x}).items()} for s in (one, two))
    for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **PARAMETERS})):
        np.testing.assert_array_equal(alone[f"out{i}"], shared[f"out{i}"])
        assert np.abs(alone[f"out{i}"] - expected).max() < error * np.abs(expected).max(), f"output {i}"


@pytest.mark.parametrize(("fmt", "error"), [("f32", 2e-6), ("i8", 0.03)])
def test_a_stream_of_maps_that_is_only_multiplied_and_added_to(fmt: str, error: float, tmp_path: Path) -> None:
    """In int8 it never is f32."""
    x = array(2, 30, 33, 40)
    made = network({"f": bottlenecks}, PARAMETERS, x)
    with Model(compiled(made, tmp_path / "bundle", fmt)) as model, Session(model, threads=2) as session:
        (found,) = session.run("f", {"x": x}).values()
        (expected,) = evaluate(made.build(), "f", {"x": x, **PARAMETERS})
        assert np.abs(found - expected).max() < error * np.abs(expected).max()
        kernels = [step.kernel for step in session.read_profile()]
    assert fmt == "f32" or ("pick_rows" in kernels and sum(name.endswith("_to_positive") for name in kernels) == 3)


def patches_of(e: Any, x: Any, p: int, q: int) -> Any:
    b, h, w, c = x.ty.shape
    parts = e(op.reshape(x, (b, h // p, p, w // q, q, c)))
    return e(op.reshape(e(op.permute_dims(parts, [0, 1, 3, 2, 4, 5])), (b, h // p, w // q, p * q * c)))


def picture(e: Any, v: dict[str, Any]) -> list[Any]:
    """What reads a picture, whose pixels lie side by side."""
    stem = e(ops.conv2d(v["x"], v["w_stem"], strides=(2, 2), padding=(3, 3, 3, 3)))
    return [stem, e(ops.linear(patches_of(e, v["x"], 2, 3), v["w_patches"]))]


def patches_of_a_map(e: Any, v: dict[str, Any]) -> list[Any]:
    return [e(ops.linear(patches_of(e, e(op.nn.relu(v["x"])), 2, 3), v["w_patches"]))]


@pytest.mark.parametrize(("fmt", "error"), [("f32", 2e-6), ("i8", 0.03)])
@pytest.mark.parametrize("write", [picture, patches_of_a_map])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_read_as_they_lie(write: Any, channels: int, fmt: str, error: float, tmp_path: Path) -> None:
    x = array(2, 10, 39, channels)
    parameters = {"w_stem": array(20, 7, 7, channels), "w_patches": array(24, 6 * channels)}
    made = network({"f": write}, parameters, x)
    with Model(compiled(made, tmp_path / "bundle", fmt)) as model, Session(model, threads=2) as session:
        found = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **parameters})):
            assert np.abs(found[f"out{i}"] - expected).max() < error * np.abs(expected).max(), f"output {i}"
        moves = [step for step in session.read_profile() if step.label == "move"]
    assert len(moves) == (1 if write is picture else 2)  # the patches; the map's padding, too


def group_norms(e: Any, v: dict[str, Any]) -> list[Any]:
    """Groups of one channel, of five, and all in one, with and without weights."""
    axes: dict[str, Any] = {"channel_axis": 3, "axes": [1, 2]}
    return [
        e(op.nn.group_norm(v["x"], v["g"], v["b"], WIDTH, **axes)),
        e(op.nn.group_norm(v["x"], v["g"], v["b"], 4, **axes, epsilon=1e-3)),
        e(op.nn.relu(e(op.nn.group_norm(v["x"], v["g"], v["b"], 1, **axes, scale=False)))),
    ]


def test_norms_of_groups_of_channels(tmp_path: Path) -> None:
    x, parameters = array(3, 5, 4, WIDTH) + 7, {"g": array(WIDTH), "b": array(WIDTH)}
    made = network({"f": group_norms}, parameters, x)
    with Model(compiled(made, tmp_path / "bundle")) as model, Session(model, threads=2) as session:
        found = session.run("f", {"x": x})
        for i, expected in enumerate(evaluate(made.build(), "f", {"x": x, **parameters})):
            np.testing.assert_allclose(found[f"out{i}"], expected, rtol=1e-5, atol=1e-5, err_msg=f"output {i}")
