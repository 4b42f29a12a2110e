"""A plan for a GPU is executed in a page as its tables say, at the cost that it is meant to have."""

from __future__ import annotations

import numpy as np
import pytest
from tests.runtime import gpu_plans, tiny_model
from tests.runtime import plan_writer as pw
from tests.runtime.gpu_plans import WRITE, GpuWriter
from tests.runtime.test_forward import TABLE, one
from tests.runtime.test_gpu import chain, counting, sums_of_parts
from tests.wasm.conftest import PlanBundle
from tests.wasm.gpu_page import Page, PageModel, PageSession, in_all_browsers
from tests.wasm.node import Refused

pytestmark = in_all_browsers


@pytest.fixture
def text(gpu_page: Page, plan_bundle: PlanBundle) -> PageModel:
    return gpu_page.open(plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights()))


@pytest.fixture
def session(text: PageModel) -> PageSession:
    return text.session(pages=4)


def test_a_prompt_at_once_and_token_by_token_give_the_same_numbers(text: PageModel) -> None:
    assert (text.device["kind"], text.device["why"], text.info["isa"]) == ("webgpu", "", "wgsl")
    tokens = [5, 17, 99, 0, 3, 42, 42, 8, 61, 7]
    hidden, logits = tiny_model.hidden_of(tokens), tiny_model.logits_of(tokens)
    result = text.session(pages=4).forward(*one(tokens), TABLE, [9, 0, 4])
    np.testing.assert_array_equal(result.hidden, hidden)
    np.testing.assert_array_equal(result.logits, logits[[9, 0, 4]])
    np.testing.assert_array_equal(result.argmax, logits[[9, 0, 4]].argmax(axis=1))
    session = text.session(pages=4)
    for i, token in enumerate(tokens):
        np.testing.assert_array_equal(session.forward(*one([token], i), TABLE, [0]).logits[0], logits[i])


def test_sequences_of_different_lengths_share_a_batch(text: PageModel) -> None:
    a, b, c = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [50, 51, 52], [70] * 9
    table = [[7, 2], [-1, -1], [5, -1], [0, 1]]
    session = text.session(pages=8)
    session.forward(a[:6] + c[:8], [*range(6), *range(8)], [0] * 6 + [3] * 8, table)
    result = session.forward(
        c[8:] + a[6:] + b, [8, *range(6, 10), *range(3)], [3] + [0] * 4 + [2] * 3, table, [0, 4, 7]
    )
    np.testing.assert_array_equal(result.logits, [tiny_model.logits_of(s)[-1] for s in (c, a, b)])


def test_a_decoded_token_is_one_pass_makes_nothing_and_brings_4_bytes_back(session: PageSession) -> None:
    tokens = [5, 17, 99]
    session.forward(*one(tokens), TABLE, [2])
    first = session.counters()
    assert (first["passes"], first["submits"], first["dispatches"]) == (1, 1, 6)  # no merges: that step does not run
    for position in range(3, 8):
        tokens.append(position * 7)
        result = session.forward(*one(tokens[-1:], position), TABLE, [0], wanted=["argmax"])
        assert result.argmax == tiny_model.logits_of(tokens)[-1].argmax()
        assert result.logits.size == result.hidden.size == 0
        counters = session.counters()
        assert (counters["passes"], counters["submits"], counters["dispatches"]) == (1, 1, 6)
        assert (counters["objects"], counters["readBytes"]) == (0, 4)
    assert counters["writes"] == 1
    assert counters["allocatedBytes"] == first["allocatedBytes"]


def greedy(tokens: list[int], steps: int) -> list[int]:
    """What the tiny model itself goes on with."""
    written = list(tokens)
    for _ in range(steps):
        written.append(int(tiny_model.logits_of(written)[-1].argmax()))
    return written[len(tokens) :]


@pytest.mark.parametrize(("submit_ms", "submits"), [(None, 1), (0.0, 6)])
def test_several_decoded_tokens_are_read_once_and_are_the_same(
    text: PageModel, submit_ms: float | None, submits: int
) -> None:
    a, b, table = [5, 17, 99], [3, 42, 42, 8, 61, 7, 7], [[7, 2], [0, 1]]
    session = text.session(pages=8)
    session.forward(a[:-1] + b[:-1], [*range(2), *range(6)], [0] * 2 + [1] * 6, table)
    for _ in range(2):  # the second time there is no buffer to be made any more
        decoded = session.decode([a[-1], b[-1]], [2, 6], table, 6, submit_ms)
        np.testing.assert_array_equal(decoded.T, [greedy(a, 6), greedy(b, 6)])
        counters = session.counters()
    assert (counters["steps"], counters["passes"], counters["submits"]) == (6, 6, submits)
    assert (counters["readBacks"], counters["readBytes"], counters["objects"]) == (1, 6 * 2 * 4, 0)
    assert counters["writes"] <= 2 if submits == 1 else counters["writes"] <= submits


def test_what_the_gpu_took_as_tokens_is_not_taken_for_what_was_written(session: PageSession) -> None:
    tokens = [5, 17, 99]
    session.forward(*one(tokens[:2]), TABLE)
    tokens += session.decode(tokens[2:], [2], TABLE, 4)[:, 0].tolist()
    # The placeholder of the last steps, as a token of its own.
    result = session.forward(*one([0], 6), TABLE, [0])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([*tokens[:6], 0])[-1])


def test_a_step_that_cannot_be_decoded_leaves_the_session_sound(session: PageSession) -> None:
    tokens = [5, 17, 99]
    session.forward(*one(tokens[:2]), TABLE)
    few = np.asarray(TABLE)[:, :1]
    with pytest.raises(Refused, match="needs 2 pages, block_table has 1 columns"):
        session.decode(tokens[2:], [2], few, tiny_model.PAGE)
    tokens += session.decode(tokens[2:], [2], TABLE, 3)[:, 0].tolist()
    assert tokens[3:] == greedy(tokens[:3], 3)
    with pytest.raises(Refused, match="0 steps, 1 tokens of 1 sequences"):
        session.decode(tokens[-1:], [5], TABLE, 0)
    result = session.forward(*one([0], 5), TABLE, [0])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([*tokens[:5], 0])[-1])


def test_what_did_not_change_is_not_written(session: PageSession) -> None:
    for _ in range(2):
        session.forward(*one([5, 17]), TABLE, [1])
    assert (session.counters()["writes"], session.counters()["writtenBytes"]) == (0, 0)
    result = session.forward(*one([6, 17]), TABLE, [1])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([6, 17])[1])
    assert session.counters()["writes"] == 1


def test_a_piece_of_a_prompt_may_bring_nothing_back(session: PageSession) -> None:
    result = session.forward(*one([5, 17, 99]), TABLE, wanted=[])
    assert (session.counters()["readBytes"], result.hidden.size) == (0, 0)
    result = session.forward(*one([3], 3), TABLE, [0], wanted=["logits"])
    np.testing.assert_array_equal(result.logits[0], tiny_model.logits_of([5, 17, 99, 3])[-1])
    assert session.counters()["readBytes"] == tiny_model.LOGIT_STRIDE * 4


def test_memory_is_what_the_plan_says_and_is_given_back(text: PageModel) -> None:
    session = text.session(pages=1 << 16)
    session.forward(*one([1]), TABLE, [0])
    counters = session.counters()
    assert counters["plannedBytes"] > (1 << 16) * tiny_model.PAGE * tiny_model.HIDDEN * 4
    assert abs(counters["allocatedBytes"] - counters["plannedBytes"]) <= 0.02 * counters["plannedBytes"]
    session.close()
    small = text.session(pages=4)
    assert small.counters()["allocatedBytes"] == small.counters()["plannedBytes"] < 1 << 20
    np.testing.assert_array_equal(small.forward(*one([7]), TABLE, [0]).logits, tiny_model.logits_of([7]))


def test_steps_run_one_after_the_other(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    session = gpu_page.open(plan_bundle(chain(100))).session()
    for n in (1000, 1, 77):
        x = np.arange(n, dtype=np.int32)
        expected = x.copy()
        for i in range(100):
            expected = expected * np.int32(3) + np.int32(i)
        np.testing.assert_array_equal(session.run("chain", {"x": x})["y"], expected)
        assert session.counters()["dispatches"] == 100


def test_units_may_be_none_or_more_than_an_axis_has_groups(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    p = GpuWriter()
    n = p.symbol("n", 0, 200_000)
    p.function("mark")
    p.input("values", [n], pw.I8)
    marks = p.arena(200_000 * 4)
    p.step(p.gpu_kernel("mark", [(WRITE, "i32")], 0, "b0[unit] += unit + 1;"), [marks], [], units=n)
    p.output("marks", marks, [n], dtype=pw.I32)
    model = gpu_page.open(plan_bundle(p))
    for units in (0, 1, 32768, 32769, 65536, 100_003):
        session = model.session()
        y = session.run("mark", {"values": np.zeros(units, np.int8)})["marks"]
        np.testing.assert_array_equal(y, np.arange(1, units + 1))
        assert session.counters()["dispatches"] == (units > 0)
        session.close()


def test_weights_arrive_in_parts_however_long(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    plan, weights, expected = sums_of_parts()
    model = gpu_page.open(plan_bundle(plan, weights))
    assert [int(each[0]) for each in model.session().run("sums", {}).values()] == expected
    assert model.progress[-1][0] == model.progress[-1][1] > len(weights)
    assert model.memory_bytes < len(weights)  # they were never in the page's memory


def test_states_are_zero_at_first_outlive_calls_and_are_a_sessions_own(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    model = gpu_page.open(plan_bundle(counting()))
    session, other = model.session(slots=100), model.session(slots=7)
    for run in range(1, 4):
        assert session.run("count", {})["sum"][0] == 100 * run
        assert other.run("count", {})["sum"][0] == 7 * run
