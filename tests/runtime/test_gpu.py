"""A plan for a GPU is executed as its tables say, at the cost that it is meant to have."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from tests.runtime import gpu_plans, tiny_model
from tests.runtime import plan_writer as pw
from tests.runtime.conftest import GpuOpener
from tests.runtime.gpu_plans import READ, WRITE, GpuWriter, shader
from tests.runtime.test_forward import TABLE, one

from hearth.runtime import GpuInfo, Model, Session, TextSession

ADD = [(READ, "i32"), (WRITE, "i32")]


@pytest.fixture
def text(open_gpu: GpuOpener) -> Model:
    return open_gpu(gpu_plans.tiny_text(), gpu_plans.tiny_weights())


@pytest.fixture
def session(text: Model) -> Iterator[TextSession]:
    with TextSession(text, num_pages=4) as made:
        yield made


def test_a_model_says_which_gpu_it_is_on(text: Model, software_gpu: GpuInfo) -> None:
    assert (text.info.device.kind, text.info.device.gpu, text.info.isa) == ("gpu", software_gpu, "wgsl")
    assert {"f16", "subgroups", "dot4"} >= set(software_gpu.features)
    assert software_gpu.limits["storage_buffers"] >= 8


def test_a_prompt_at_once_and_token_by_token_give_the_same_numbers(text: Model) -> None:
    tokens = [5, 17, 99, 0, 3, 42, 42, 8, 61, 7]
    hidden, logits = tiny_model.hidden_of(tokens), tiny_model.logits_of(tokens)
    with TextSession(text, num_pages=4) as session:
        result = session.forward(*one(tokens), TABLE, [9, 0, 4])
        np.testing.assert_array_equal(result.hidden, hidden)
        np.testing.assert_array_equal(result.logits, logits[[9, 0, 4]])
        np.testing.assert_array_equal(result.argmax, logits[[9, 0, 4]].argmax(axis=1))
    with TextSession(text, num_pages=4) as session:
        for i, token in enumerate(tokens):
            result = session.forward(*one([token], i), TABLE, [0])
            np.testing.assert_array_equal(result.logits[0], logits[i])


def test_kernels_without_checks_give_the_same_numbers(open_gpu: GpuOpener) -> None:
    tokens = [5, 17, 99, 0, 3, 42]
    with TextSession(open_gpu(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), gpu_unchecked=True), num_pages=4) as s:
        np.testing.assert_array_equal(s.forward(*one(tokens), TABLE, [5]).logits[0], tiny_model.logits_of(tokens)[5])


def test_a_kernel_that_leaves_its_buffers_harms_nothing(open_gpu: GpuOpener) -> None:
    p = GpuWriter()
    n = p.symbol("n", 1, 64)
    p.function("stray")
    x, y, beside = p.input("x", [n], pw.I32), p.arena(256), p.arena(256)
    body = "for (var i = 0; i < 64; i++) { b1[i] = b0[a.s0 + i] * 0 + 7; } b1[a.s0] = 9; b1[-a.s0] = 9;"
    p.step(p.gpu_kernel("stray", ADD, 1, body), [x, y], [p.constant(1 << 28)], units=p.constant(1))
    p.output("beside", beside, [p.constant(64)], dtype=pw.I32)
    with Session(open_gpu(p)) as session:
        for _ in range(3):
            np.testing.assert_array_equal(session.run("stray", {"x": np.ones(64, np.int32)})["beside"], 0)


def test_sequences_of_different_lengths_share_a_batch(text: Model) -> None:
    a, b, c = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [50, 51, 52], [70] * 9
    table = [[7, 2], [-1, -1], [5, -1], [0, 1]]
    with TextSession(text, num_pages=8) as session:
        session.forward(a[:6] + c[:8], [*range(6), *range(8)], [0] * 6 + [3] * 8, table)
        result = session.forward(
            c[8:] + a[6:] + b, [8, *range(6, 10), *range(3)], [3] + [0] * 4 + [2] * 3, table, [0, 4, 7]
        )
        expected = [tiny_model.logits_of(s)[-1] for s in (c, a, b)]
        np.testing.assert_array_equal(result.logits, expected)


def test_a_decoded_token_is_one_pass_makes_nothing_and_brings_4_bytes_back(session: TextSession) -> None:
    tokens = [5, 17, 99]
    session.forward(*one(tokens), TABLE, [2])
    first = session.read_counters()
    assert (first.passes, first.submits, first.dispatches) == (1, 1, 6)  # no merges: that step does not run
    for position in range(3, 8):
        tokens.append(position * 7)
        result = session.forward(*one(tokens[-1:], position), TABLE, [0], wanted=("argmax",))
        counters = session.read_counters()
        assert result.argmax == tiny_model.logits_of(tokens)[-1].argmax()
        assert result.logits.size == result.hidden.size == 0
        assert (counters.passes, counters.submits, counters.dispatches) == (1, 1, 6)
        assert (counters.objects, counters.read_bytes) == (0, 4)
    assert (counters.writes, counters.planned_bytes) == (1, first.planned_bytes)
    assert counters.allocated_bytes == first.allocated_bytes


def test_what_did_not_change_is_not_written(session: TextSession) -> None:
    for _ in range(2):
        session.forward(*one([5, 17]), TABLE, [1])
    assert (session.read_counters().writes, session.read_counters().written_bytes) == (0, 0)
    result = session.forward(*one([6, 17]), TABLE, [1])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([6, 17])[1])
    assert session.read_counters().writes == 1


def test_a_piece_of_a_prompt_may_bring_nothing_back(session: TextSession) -> None:
    result = session.forward(*one([5, 17, 99]), TABLE, wanted=())
    assert (session.read_counters().read_bytes, result.hidden.size) == (0, 0)
    result = session.forward(*one([3], 3), TABLE, [0], wanted=("logits",))
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([5, 17, 99, 3])[-1])
    assert session.read_counters().read_bytes == tiny_model.LOGIT_STRIDE * 4


def test_memory_is_what_the_plan_says(text: Model) -> None:
    with TextSession(text, num_pages=1 << 16) as session:
        session.forward(*one([1]), TABLE, [0])
        counters = session.read_counters()
        assert counters.planned_bytes > (1 << 16) * tiny_model.PAGE * tiny_model.HIDDEN * 4
        assert abs(counters.allocated_bytes - counters.planned_bytes) <= 0.02 * counters.planned_bytes
        assert session.size_bytes >= (1 << 16) * tiny_model.PAGE * tiny_model.HIDDEN * 4


def test_outputs_stay_readable_when_session_and_model_are_closed(text: Model) -> None:
    result = TextSession(text, num_pages=4).forward(*one([1, 2]), TABLE, [1])
    logits = result.logits
    text.close()
    np.testing.assert_array_equal(logits[0], tiny_model.logits_of([1, 2])[1])


def chain(length: int) -> GpuWriter:
    """x[i] = 3 * x[i] + step, `length` times, each step reading what the one before wrote in another arena."""
    p = GpuWriter()
    n = p.symbol("n", 1, 1000)
    p.function("chain")
    source = p.input("x", [n], pw.I32)
    arenas = [p.arena(4000, index) for index in range(2)]
    kernel = p.gpu_kernel("chain", ADD, 1, "b1[unit] = b0[unit] * 3 + a.s0;")
    for i in range(length):
        p.step(kernel, [source if i == 0 else arenas[(i + 1) % 2], arenas[i % 2]], [p.constant(i)], units=n)
    p.output("y", arenas[(length - 1) % 2], [n], dtype=pw.I32)
    return p


def test_steps_run_one_after_the_other(open_gpu: GpuOpener) -> None:
    with Session(open_gpu(chain(300))) as session:
        for n in (1000, 1, 77):
            x = np.arange(n, dtype=np.int32)
            expected = x.copy()
            for i in range(300):
                expected = expected * np.int32(3) + np.int32(i)
            np.testing.assert_array_equal(session.run("chain", {"x": x})["y"], expected)
            assert session.read_counters().dispatches == 300


@pytest.mark.parametrize("units", [1, 32768, 32769, 65536, 100_003])
def test_units_may_be_more_than_an_axis_has_groups(open_gpu: GpuOpener, units: int) -> None:
    p = GpuWriter()
    n = p.symbol("n", 0, 200_000)
    p.function("mark")
    p.input("values", [n], pw.I8)
    marks = p.arena(200_000 * 4)
    p.step(p.gpu_kernel("mark", [(WRITE, "i32")], 0, "b0[unit] += unit + 1;"), [marks], [], units=n)
    p.output("marks", marks, [n], dtype=pw.I32)
    with Session(open_gpu(p)) as session:
        assert session.run("mark", {"values": np.zeros(0, np.int8)})["marks"].size == 0
        assert session.read_counters().dispatches == 0
        y = session.run("mark", {"values": np.zeros(units, np.int8)})["marks"]
        np.testing.assert_array_equal(y, np.arange(1, units + 1))


def sums_of_parts() -> tuple[GpuWriter, bytes, list[int]]:
    """Sums of weights: a tensor longer than the buffer that weights stream through, read in parts of odd sizes, between
    small ones. The plan, weights.bin, the numbers."""
    words = 5 << 20
    p = GpuWriter()
    p.function("sums")
    small, big, last = p.weight("small", 12), p.weight("big", words * 4), p.weight("last", 20)
    split = 9 * (1 << 20) + 256
    parts = [small, p.part(big, 0, split), p.part(big, split, words * 4 - split), big, last]
    sizes = [3, split // 4, words - split // 4, words, 5]
    sums = [p.arena(256, i) for i in range(len(parts))]
    # Sums that wrap, by 256 threads: any word at a wrong place changes them, for each is multiplied by its place.
    body = """var sum = 0; for (var i = thread; i < a.s0; i += 256) { sum += b0[i] * (i + 1); }
        partial[thread] = sum; workgroupBarrier();
        if (thread == 0) { var all = 0; for (var i = 0; i < 256; i++) { all += partial[i]; } b1[0] = all; }"""
    kernel = p.gpu_kernel("sums", ADD, 1, body, threads=256)
    p.shaders[-1] = p.shaders[-1].replace("struct Args", "var<workgroup> partial: array<i32, 256>;\nstruct Args")
    one_unit = p.constant(1)
    for part, size, total in zip(parts, sizes, sums, strict=True):
        p.step(kernel, [part, total], [p.constant(size)], units=one_unit)
    for i, total in enumerate(sums):
        p.output(f"sum{i}", total, [one_unit], dtype=pw.I32)
    rng = np.random.default_rng(0)
    tensors = [rng.integers(-(2**31), 2**31, size, dtype=np.int32) for size in (3, words, 5)]
    weights = b"".join(t.tobytes() + bytes(-t.nbytes % 64) for t in tensors)
    cut = split // 4
    read = [tensors[0], tensors[1][:cut], tensors[1][cut:], tensors[1], tensors[2]]
    return p, weights, [int(np.sum(t * np.arange(1, t.size + 1, dtype=np.int32), dtype=np.int32)) for t in read]


def test_weights_arrive_in_parts_however_long(open_gpu: GpuOpener) -> None:
    plan, weights, expected = sums_of_parts()
    seen: list[tuple[int, int]] = []
    model = open_gpu(plan, weights, progress=lambda done, total: seen.append((done, total)))
    with Session(model) as session:
        assert [int(each[0]) for each in session.run("sums", {}).values()] == expected
    assert seen[-1] == (len(weights), len(weights))
    assert seen == sorted(seen)


def counting() -> GpuWriter:
    p = GpuWriter()
    slots, one_unit = p.symbol("slots", 1, 1000), p.constant(1)
    p.function("count")
    counts, total = p.state("counts", "slots", 4), p.arena(4)
    p.step(p.gpu_kernel("count", [(WRITE, "i32")], 0, "b0[unit]++;"), [counts], [], units=slots)
    body = "var sum = 0; for (var i = 0; i < a.s0; i++) { sum += b0[i]; } b1[unit] = sum;"
    p.step(p.gpu_kernel("total", ADD, 1, body), [counts, total], [slots], units=one_unit)
    p.output("sum", total, [one_unit], dtype=pw.I32)
    return p


def test_states_are_zero_at_first_outlive_calls_and_belong_to_a_session(open_gpu: GpuOpener) -> None:
    model = open_gpu(counting())
    with Session(model, {"slots": 100}) as session, Session(model, {"slots": 7}) as other:
        for run in range(1, 4):
            assert session.run("count", {})["sum"][0] == 100 * run
            assert other.run("count", {})["sum"][0] == 7 * run
        session.clear_states()
        assert session.run("count", {})["sum"][0] == 100


def test_sessions_run_side_by_side(text: Model) -> None:
    rng = np.random.default_rng(5)
    prompts = [rng.integers(0, 100, 12).tolist() for _ in range(3)]
    wrong: list[str] = []

    def decode(tokens: list[int]) -> None:
        expected = tiny_model.logits_of(tokens).argmax(axis=1)
        with TextSession(text, num_pages=4) as session:
            for position, token in enumerate(tokens):
                if session.forward(*one([token], position), TABLE, [0]).argmax[0] != expected[position]:
                    wrong.append(f"{tokens} at {position}")

    threads = [threading.Thread(target=decode, args=[tokens]) for tokens in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_steps_are_timed_by_the_gpus_own_clock(text: Model, software_gpu: GpuInfo) -> None:
    with TextSession(text, num_pages=4) as session:
        session.profile(True)
        for position in range(3):
            session.forward(*one([7], position), TABLE, [0])
        assert session.read_counters().passes == 6
        steps = {step.label: step for step in session.read_profile()}
        assert [steps[label].calls for label in ("embed", "argmax", "only with merges")] == [3, 3, 0]
        if software_gpu.timestamps:
            assert all(step.time_ns > 0 for step in steps.values() if step.calls)
        session.profile(False)
        session.forward(*one([7], 3), TABLE, [0])
        assert session.read_counters().passes == 1
        assert steps["embed"].calls == 3


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [(None, 0), ("core", 0), ("f16", 1), ("subgroups", 2), ("f16+subgroups", 3), ("dot4+f16", 1),
     ("core which=f16", 1), ("which=subgroups f16+subgroups", 2), ("whic=f16 which2=f16", 0), ("f16 which=core", 0)],
)  # fmt: skip
def test_variants_are_chosen_by_what_they_may_use(
    open_gpu: GpuOpener, software_gpu: GpuInfo, allowed: str | None, expected: int
) -> None:
    if not {"f16", "subgroups"} <= set(software_gpu.features):
        pytest.skip("needs an adapter with f16 and subgroups")
    p = GpuWriter()
    p.function("which")
    which, one_unit = p.arena(4), p.constant(1)
    p.step(p.kernel("which", 1, 0), [which], [], units=one_unit)
    p.output("which", which, [one_unit], dtype=pw.I32)
    for number, features in ((3, "f16+subgroups"), (0, "core"), (1, "f16"), (2, "subgroups")):
        p.shaders.append(shader("which", [(WRITE, "i32")], 0, f"b0[unit] = {number};", features=features))
    model = open_gpu(p, gpu_features=allowed)
    names = {0: {}, 1: {"which": ("f16",)}, 2: {"which": ("subgroups",)}, 3: {"which": ("f16", "subgroups")}}
    assert model.info.device.variants == names[expected]
    with Session(model) as session:
        assert session.run("which", {})["which"][0] == expected
