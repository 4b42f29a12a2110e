"""Any function of a plan runs over arrays with names: sizes from their shapes, values checked, whatever the threads."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.runtime import plan_writer as pw
from tests.runtime import tiny_functions as tiny
from tests.runtime import tiny_model
from tests.runtime.conftest import BundleMaker

from hearth.errors import CorruptFile, HearthError, UsageError
from hearth.runtime import FunctionInfo, Model, Session, StateInfo, TensorInfo, TextInfo, TextSession, binding

RNG = np.random.default_rng(3)
SIZES = {"slots": 10}


@pytest.fixture
def functions(make_bundle: BundleMaker) -> Model:
    return Model(make_bundle(tiny.plan(), tiny.weights_bytes()))


@pytest.fixture
def session(functions: Model) -> Iterator[Session]:
    with Session(functions, SIZES, threads=2) as made:
        yield made


def pixels(batch: int, side: int) -> np.ndarray:
    return RNG.integers(0, 256, (batch, side, 2 * side, tiny.CHANNELS)).astype(np.uint8)


def pooled(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32).sum((1, 2)) * tiny.scale()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_sizes_come_from_the_shapes_of_each_call(functions: Model, threads: int) -> None:
    with Session(functions, SIZES, threads=threads) as session:
        for batch, side in ((1, 1), (4, 6), (2, 3), (4, 1), (1, 6)):
            images = pixels(batch, side)
            (answer,) = session.run("pool", {"pixels": images}).values()
            assert answer.dtype == np.float32
            np.testing.assert_array_equal(answer, pooled(images))


def test_lent_bytes_are_read_where_they_lie(session: Session) -> None:
    copied = session.size_bytes
    for batch, side, at in ((4, 6, 1), (1, 1, 3), (2, 3, 0)):
        images = pixels(batch, side)
        memory = np.zeros(images.size + at, np.uint8)  # at any address
        lent = memory[at:].reshape(images.shape)
        lent[:] = images
        (answer,) = session.run("lent", {"pixels": lent}).values()
        np.testing.assert_array_equal(answer, pooled(images))
    lent[:] = 0
    assert session.size_bytes == copied
    np.testing.assert_array_equal(session.run("lent", {"pixels": lent})["pooled"], 0)


def test_functions_share_weights_and_an_output_may_be_the_next_input(session: Session) -> None:
    images = pixels(3, 2)
    features = session.run("pool", {"pixels": images})["pooled"]
    picked = [2, 0, 1, 1]
    answer = session.run("dots", {"picked": picked, "hidden": features[:, None, None, :]})["dots"]
    np.testing.assert_array_equal(answer[:, 0], (pooled(images) @ tiny.scale())[picked])


def test_outputs_are_views_that_the_next_run_overwrites(session: Session) -> None:
    first = session.run("pool", {"pixels": pixels(2, 2)})["pooled"]
    assert not first.flags.writeable
    images = pixels(2, 3)
    session.run("pool", {"pixels": images})
    np.testing.assert_array_equal(first, pooled(images))


def test_an_output_keeps_its_session_in_memory(functions: Model) -> None:
    images = pixels(2, 2)
    answer = Session(functions, SIZES, threads=2).run("pool", {"pixels": images})["pooled"]
    np.testing.assert_array_equal(answer, pooled(images))


def test_expressions_have_pythons_values(session: Session) -> None:
    for n in range(1, 21):
        values = session.run("expressions", {"bytes": np.zeros(n, np.uint8)})["values"]
        assert values.tolist() == [(2 - n) // 3, (n + 15) // 16 * 16, min(n, 7), max(n, 7)]


def test_nothing_may_be_picked_or_summed(session: Session) -> None:
    hidden = np.ones((1, 1, 1, tiny.CHANNELS), np.float32)
    assert session.run("dots", {"hidden": hidden, "picked": []})["dots"].shape == (0, 1)
    assert session.run("ragged", {"values": [], "flags": [1], "offsets": [0, 0]})["sum"][0] == 0


@pytest.mark.parametrize("slots", [1, 3, 1000])
def test_states_have_the_size_that_was_said_and_outlive_calls(functions: Model, slots: int) -> None:
    with Session(functions, {"slots": slots}, threads=2) as session, Session(functions, SIZES, threads=1) as other:
        for run in range(1, 4):
            assert session.run("count", {})["sum"][0] == run * slots
            session.run("pool", {"pixels": pixels(4, 6)})
        session.clear_states()
        assert session.run("count", {})["sum"][0] == slots
        assert other.run("count", {})["sum"][0] == SIZES["slots"]


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({}, "the size slots is missing"),
        ({"slots": 0}, "slots is 0, must be 1 to 1000"),
        ({"slots": 1001}, "slots is 1001, must be 1 to 1000"),
        ({"slots": -(2**63)}, "slots is -9223372036854775808"),
        ({"slots": 2**63}, "slots is 9223372036854775808, which is no size"),
        ({"slots": 1, "pages": 1}, "no state whose units are counted by pages"),
        ({"slots": 1, "batch": 1}, "no state whose units are counted by batch"),
    ],
)
def test_sizes_of_states_are_checked(functions: Model, sizes: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Session(functions, sizes, threads=1)


def test_a_constant_number_of_units_need_not_be_said(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    slots, one = p.symbol("slots", 7, 7), p.constant(1)
    p.function("count")
    counts, counted = p.state("counts", "slots", 4), p.arena(64)
    p.step(p.kernel("t_count", 1, 0), [counts], [], units=slots)
    p.step(p.kernel("t_total", 2, 1), [counts, counted], [slots], units=one)
    p.output("sum", counted, [one], dtype=pw.I32)
    with Session(Model(make_bundle(p)), threads=1) as session:
        assert session.run("count", {})["sum"][0] == 7


HIDDEN = np.ones((2, 1, 1, tiny.CHANNELS), np.float32)
RAGGED = {"values": [1, 2, 3], "flags": [1, 8], "offsets": [0, 2, 3]}


@pytest.mark.parametrize(
    ("function", "inputs", "said"),
    [
        ("paint", {}, "The model has no function paint"),
        ("pool", {}, "pool: input pixels: is missing"),
        ("pool", {"pixel": pixels(1, 1)}, "pool has no input pixel"),
        ("count", {"pixels": pixels(1, 1)}, "count has no input pixels"),
        ("pool", {"pixels": pixels(1, 1)[0]}, "pixels must have 4 axes"),
        ("pool", {"pixels": pixels(1, 1).astype(np.float32)}, "pixels must be integers, not float32"),
        ("pool", {"pixels": pixels(1, 1).astype(np.int64) + 256}, "leaves 8 bits"),
        ("pool", {"pixels": pixels(5, 1)}, r"pixels: axis 0 \(batch\) is 5, must be 1 to 4"),
        ("pool", {"pixels": pixels(0, 1)}, r"pixels: axis 0 \(batch\) is 0, must be 1 to 4"),
        ("pool", {"pixels": pixels(1, 7)}, r"pixels: axis 1 \(side\) is 7, must be 1 to 6"),
        ("pool", {"pixels": pixels(1, 2)[:, :, :3]}, "pixels: axis 2 is 3, must be 4"),
        ("pool", {"pixels": pixels(1, 2)[..., :7]}, "pixels: axis 3 is 7, must be 8"),
        ("dots", {"hidden": HIDDEN, "picked": [0, 2]}, "dots: input picked: value 1 is 2, must be 0 to 1"),
        ("dots", {"hidden": HIDDEN, "picked": [-1]}, "dots: input picked: value 0 is -1, must be 0 to 1"),
        ("dots", {"hidden": HIDDEN > 0, "picked": [0]}, "hidden must be numbers, not bool"),
        ("dots", {"hidden": HIDDEN, "picked": [2**31]}, "leaves 32 bits"),
        ("ragged", RAGGED | {"flags": [0, 1]}, "flags: value 0 is 0, must be 1 to 8"),
        ("ragged", RAGGED | {"flags": [1, 9]}, "flags: value 1 is 9, must be 1 to 8"),
        ("ragged", RAGGED | {"offsets": [0, 3]}, "offsets: axis 0 is 2, must be 3"),
        ("ragged", RAGGED | {"offsets": [0, 4, 3]}, "offsets: value 1 is 4, must be 0 to 3"),
        ("ragged", RAGGED | {"flags": [1] * 3, "offsets": [0, 2, 1, 3]}, "offsets: value 2 is 1, less than the one"),
        ("ragged", RAGGED | {"offsets": [1, 2, 3]}, "offsets: must begin with 0 and end with 3"),
        ("ragged", RAGGED | {"offsets": [0, 2, 2]}, "offsets: must begin with 0 and end with 3"),
    ],
)
def test_each_wrong_input_is_named_and_leaves_the_session_usable(
    session: Session, function: str, inputs: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        session.run(function, inputs)
    assert session.run("ragged", RAGGED)["sum"][0] == 6


def test_one_symbol_has_one_value_in_a_call(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    n = p.symbol("n", 1, 9)
    p.function("both")
    p.input("a", [n])
    p.input("b", [p.constant(1), n], pw.F16)
    with Session(Model(make_bundle(p)), threads=1) as session:
        assert session.run("both", {"b": np.zeros((1, 5)), "a": np.zeros(5, np.uint8)}) == {}
        with pytest.raises(UsageError, match=r"both: input b: axis 1 \(n\) is 4, another one is 5"):
            session.run("both", {"b": np.zeros((1, 4)), "a": np.zeros(5, np.uint8)})


def test_a_size_that_a_session_fixes_is_the_only_one_an_input_may_have(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    slots = p.symbol("slots", 1, 9)
    p.function("fill")
    p.input("values", [slots])
    p.state("kept", "slots", 4)
    with Session(Model(make_bundle(p)), {"slots": 5}, threads=1) as session:
        session.run("fill", {"values": [0] * 5})
        with pytest.raises(UsageError, match=r"axis 0 \(slots\) is 4, must be 5 to 5"):
            session.run("fill", {"values": [0] * 4})


def raw(session: Session, function: bytes, inputs: list[dict[str, Any]], num_outputs: int = 1) -> str:
    """What the library says to tensors that the binding would not make."""
    handle = session.open_handle()
    tensors = (binding.Tensor * max(1, len(inputs)))()
    for tensor, fields in zip(tensors, inputs, strict=False):
        shape = fields.pop("shape")
        for name, value in fields.items():
            setattr(tensor, name, value)
        tensor.rank = fields.get("rank", len(shape))
        tensor.shape[: len(shape)] = shape
    outputs = (binding.Tensor * max(1, num_outputs))()
    status = handle.library.hearth_run(handle.pointer, function, tensors, len(inputs), outputs, num_outputs)
    assert status in (binding.OK, binding.INVALID)
    return handle.library.hearth_error().decode() if status else "OK"


def test_the_c_api_refuses_what_the_binding_would_not_pass(session: Session) -> None:
    data = ctypes.create_string_buffer(64)
    good: dict[str, Any] = {"name": b"pixels", "data": ctypes.addressof(data), "dtype": pw.U8, "shape": [1, 1, 2, 8]}
    assert raw(session, b"pool", [{**good}]) == "OK"
    assert raw(session, b"pool", [{**good, "row_stride": 8}]) == "OK"
    for change, said in (
        ({"dtype": pw.F32}, "pool: input pixels: is f32, must be u8"),
        ({"dtype": 5}, "pool: input pixels: unknown dtype 5"),
        ({"rank": 3}, "pool: input pixels: has 3 axes, must have 4"),
        ({"rank": 9}, "pool: input pixels: has 9 axes, must have 4"),
        ({"row_stride": 16}, "pool: input pixels: its rows do not stand one after the other"),
        ({"data": None}, "pool: input pixels: data is NULL"),
        ({"name": None}, "pool: an input has no name"),
        ({"shape": [1, 1, 2, -8]}, "pool: input pixels: axis 3 is -8, must be 8"),
        ({"shape": [-1, 1, 2, 8]}, "pool: input pixels: axis 0 (batch) is -1, must be 1 to 4"),
        ({"shape": [2**62, 1, 2, 8]}, "pool: input pixels: axis 0 (batch) is 4611686018427387904, must be 1 to 4"),
    ):
        assert raw(session, b"pool", [{**good, **change}]) == said  # type: ignore[dict-item]
    assert raw(session, b"pool", [{**good}, {**good}]) == "pool: input pixels: given twice"
    assert raw(session, b"pool", [{**good}], 0) == "pool has 1 outputs, there is room for 0"
    assert raw(session, b"pool", [{**good}], 2) == "pool has 1 outputs, there is room for 2"
    assert raw(session, b"paint", []) == "the model has no function paint"


def test_text_has_a_door_of_its_own(model: Model, functions: Model) -> None:
    with TextSession(model, num_pages=4, threads=1) as session:
        inputs = {name: np.zeros([1] * len(t.shape)) for name, t in model.info.functions["forward"].inputs.items()}
        with pytest.raises(UsageError):
            session.run("forward", inputs)
        assert raw(session, b"forward", [], 3) == "forward takes tokens: it is run by hearth_forward"
    with pytest.raises(UsageError, match="This model is no language model"):
        TextInfo.of(functions.info)
    with pytest.raises(UsageError, match="This model is no language model"):
        TextSession(functions, num_pages=4)
    with Session(functions, SIZES, threads=1) as session:
        handle, batch, output = session.open_handle(), binding.Batch(num_tokens=1), binding.Output()
        status = handle.library.hearth_forward(handle.pointer, ctypes.byref(batch), ctypes.byref(output))
        assert status == binding.INVALID
        assert "the model takes no tokens" in handle.library.hearth_error().decode()


def test_a_text_function_and_others_stand_in_one_plan(make_bundle: BundleMaker) -> None:
    p = tiny_model.plan()
    p.function("count")
    counts, counted, one = p.arena(64), p.arena(64), p.constant(1)
    sixteen = p.constant(16)
    p.step(p.kernel("t_count", 1, 0), [counts], [], units=sixteen, label="count")
    p.step(p.kernel("t_total", 2, 1), [counts, counted], [sixteen], units=one, label="total")
    p.output("sum", counted, [one], dtype=pw.I32)
    with TextSession(Model(make_bundle(p, tiny_model.weights_bytes())), num_pages=4, threads=3) as session:
        session.profile(True)
        for i in range(1, 9):
            result = session.forward([i] * i, range(i), [0] * i, [[0]], [i - 1])
            np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([i] * i)[-1])
            assert session.run("count", {})["sum"][0] == 16 * i
        assert [(s.function, s.label, s.calls) for s in session.read_profile()][5:] == [
            ("forward", "argmax", 8),
            ("count", "count", 8),
            ("count", "total", 8),
        ]


def test_describe_lists_functions_symbols_and_states(functions: Model) -> None:
    info = functions.info
    assert list(info.functions) == ["pool", "dots", "ragged", "expressions", "count", "lent"]
    image = TensorInfo("pixels", "u8", ("batch", "side", "side * 2", 8), (4, 6, 12, 8))
    out = TensorInfo("pooled", "f32", ("batch", 8), (4, 8))
    assert info.functions["pool"] == FunctionInfo("pool", "", {"pixels": image}, {"pooled": out})
    assert info.functions["dots"].inputs["picked"] == TensorInfo("picked", "i32", ("rows",), (16,), 0, "batch + -1")
    assert info.functions["lent"].inputs["pixels"] == replace(image, lent=True)
    offsets = TensorInfo("offsets", "i32", ("batch + 1",), (5,), 0, "total", ascending=True)
    assert info.functions["ragged"].inputs["offsets"] == offsets
    assert info.symbols == {
        "batch": (1, 4), "side": (1, 6), "rows": (0, 16), "total": (0, 64), "n": (1, 20), "slots": (1, 1000)
    }  # fmt: skip
    assert info.states == (StateInfo("counts", "slots", 4),)
    with Session(functions, SIZES, threads=3) as session:
        assert session.size_bytes <= info.session_bytes(SIZES, 3) <= session.size_bytes + 1024


def test_names_and_deep_expressions_do_not_break_the_description(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    name = 'a "b" \\ \n é 漢 \U0001f600'
    n = p.symbol(name, 0, 1)
    for _ in range(60):
        n = p.operation(pw.MAXIMUM, n, n)
    p.function(name)
    p.input(name, [p.named[name], n])
    info = Model(make_bundle(p)).info
    (tensor,) = info.functions[name].inputs.values()
    assert tensor.name == tensor.shape[0] == name
    assert len(str(tensor.shape[1])) < 2000
    assert "..." in str(tensor.shape[1])
    with Session(Model(make_bundle(p)), threads=1) as session:
        session.run(name, {name: [[0]]})


def test_a_description_without_end_is_refused(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    n = p.symbol("s" * 255, 0, 1)
    for _ in range(7):
        n = p.operation(pw.MAXIMUM, n, n)
    for i in range(256):
        p.function(f"f{i}")
        for j in range(8):
            p.input(f"i{j}", [n] * 8)
    with pytest.raises(HearthError, match="description"):
        Model(make_bundle(p))


def test_the_description_is_json(functions: Model) -> None:
    handle = functions.handle()
    described = json.loads(handle.library.hearth_describe(handle.pointer))
    assert described["abi_version"] == binding.ABI_VERSION
    assert described["functions"][2]["inputs"][2]["ascending"] is True


def counting_plan(units: int, grain: int) -> pw.PlanWriter:
    """Two steps that add 1 to each counter, and their total."""
    p = pw.PlanWriter()
    p.function("work")
    counts, total = p.arena(units * 4), p.arena(64)
    count, sum_up = p.kernel("t_count", 1, 0), p.kernel("t_total", 2, 1)
    n, single = p.constant(units), p.constant(1)
    for _ in range(2):
        p.step(count, [counts], [], units=n, grain=grain)
        p.step(sum_up, [counts, total], [n], units=single)
    p.output("total", total, [single], dtype=pw.I32)
    return p


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize(("units", "grain"), [(1, 1), (1, 64), (7, 2), (64, 64), (65, 64), (1000, 1), (100_003, 7)])
def test_each_unit_runs_exactly_once_and_before_the_next_step(
    make_bundle: BundleMaker, units: int, grain: int, threads: int
) -> None:
    with Session(Model(make_bundle(counting_plan(units, grain))), threads=threads) as session:
        for run in range(1, 30):
            assert session.run("work", {})["total"][0] == 2 * run * units


def test_steps_without_units_are_skipped(make_bundle: BundleMaker) -> None:
    plan = counting_plan(8, 1)
    plan.step(plan.kernel("t_fails", 0, 0), [], [], units=plan.constant(0))
    with Session(Model(make_bundle(plan)), threads=2) as session:
        assert session.run("work", {})["total"][0] == 16


def stepping_plan(units: int) -> pw.PlanWriter:
    """A function over `n` bytes whose last step fails, with n - 1 units."""
    p = pw.PlanWriter()
    n = p.symbol("n", 1, 9)
    p.function("work")
    p.input("bytes", [n], pw.U8)
    p.step(p.kernel("t_fails", 0, 0), [], [], units=p.plus(n, units))
    return p


def test_a_kernel_that_fails_is_reported_and_the_session_goes_on(make_bundle: BundleMaker) -> None:
    with Session(Model(make_bundle(stepping_plan(-1))), threads=2) as session:
        with pytest.raises(HearthError, match="a kernel answered 7"):
            session.run("work", {"bytes": [0, 0]})
        session.run("work", {"bytes": [0]})


def test_units_that_come_out_negative_are_refused_when_they_do(make_bundle: BundleMaker) -> None:
    with Session(Model(make_bundle(stepping_plan(-2))), threads=1) as session:
        session.run("work", {"bytes": [0, 0]})
        with pytest.raises(CorruptFile, match="step 0 would have -1 units"):
            session.run("work", {"bytes": [0]})


def test_rows_wider_than_their_stride_are_refused_when_they_are(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    n = p.symbol("n", 1, 9)
    p.function("work")
    p.input("bytes", [n], pw.U8)
    p.output("rows", p.arena(64), [p.constant(2), n], p.constant(8))
    with Session(Model(make_bundle(p)), threads=1) as session:
        assert session.run("work", {"bytes": [0] * 8})["rows"].shape == (2, 8)
        with pytest.raises(CorruptFile, match="output rows: 9 columns in rows of 8"):
            session.run("work", {"bytes": [0] * 9})


def test_profile_counts_steps_and_their_time(make_bundle: BundleMaker) -> None:
    p = pw.PlanWriter()
    p.function("work")
    p.step(p.kernel("t_busy", 0, 1), [], [p.constant(100)], units=p.constant(10), label="busy")
    p.step(p.kernel("t_nothing", 0, 0), [], [], units=p.constant(1), label="idle")
    with Session(Model(make_bundle(p)), threads=2) as session:
        session.run("work", {})
        assert [s.calls for s in session.read_profile()] == [0, 0]
        session.profile(True)
        for _ in range(3):
            session.run("work", {})
        busy, idle = session.read_profile()
        assert (busy.function, busy.label, busy.kernel, busy.calls) == ("work", "busy", "t_busy", 3)
        assert (idle.label, idle.kernel, idle.calls) == ("idle", "t_nothing", 3)
        assert busy.time_ns >= 3 * 10 * 100_000 / 2
        assert idle.time_ns < busy.time_ns
