"""What the page's GPU cannot do is refused with an error that says why, and what was lost is told."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.runtime import gpu_plans, tiny_model
from tests.runtime import plan_writer as pw
from tests.runtime.gpu_plans import READ, WRITE, GpuWriter
from tests.runtime.test_forward import TABLE, one
from tests.wasm.conftest import PlanBundle
from tests.wasm.gpu_page import Page, needs_chromium
from tests.wasm.node import Refused

pytestmark = needs_chromium


def test_a_gpu_that_is_lost_in_a_call_is_told_and_can_be_had_again(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    folder = plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights())
    session = gpu_page.open(folder).session(pages=4)
    np.testing.assert_array_equal(session.forward(*one([7]), TABLE, [0]).logits, tiny_model.logits_of([7]))
    with pytest.raises(Refused, match="was lost") as refused:
        gpu_page.ask("loseDuring", **session.batch(*one([8], 1), TABLE, [0]))
    assert refused.value.kind == "device"
    with pytest.raises(Refused, match=r"was lost.*Load the model again"):
        session.forward(*one([8], 1), TABLE, [0])
    again = gpu_page.open(folder).session(pages=4)
    np.testing.assert_array_equal(again.forward(*one([7]), TABLE, [0]).logits, tiny_model.logits_of([7]))


def test_a_session_takes_one_call_at_a_time(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    model = gpu_page.open(plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights()))
    session = model.session(pages=4)
    answer = gpu_page.ask("both", **session.batch(*one([7]), TABLE, [0]))
    assert (answer["kind"], "Another call" in answer["message"]) == ("usage", True)
    np.testing.assert_array_equal(session.forward(*one([7]), TABLE, [0]).logits, tiny_model.logits_of([7]))
    model.close()
    with pytest.raises(Refused, match="The session is closed"):
        session.forward(*one([7]), TABLE, [0])


def test_a_batch_that_cannot_be_is_refused_and_the_session_goes_on(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    session = gpu_page.open(plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights())).session(pages=4)
    with pytest.raises(Refused, match="id 999"):
        session.forward(*one([999]), TABLE, [0])
    np.testing.assert_array_equal(session.forward(*one([7]), TABLE, [0]).logits, tiny_model.logits_of([7]))


def test_memory_is_counted_before_it_is_taken(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    folder = plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights())
    with pytest.raises(Refused, match=r"The weights do not fit.*memoryLimitBytes allows 1000") as refused:
        gpu_page.open(folder, memoryLimitBytes=1000)
    assert refused.value.kind == "memory"
    model = gpu_page.open(folder, memoryLimitBytes=1 << 20)
    with pytest.raises(Refused, match="The session does not fit") as refused:
        model.session(pages=1 << 16)
    assert refused.value.kind == "memory"
    session = model.session(pages=3000)
    with pytest.raises(Refused, match="The session does not fit"):
        model.session(pages=3000)
    np.testing.assert_array_equal(session.forward(*one([7]), TABLE, [0]).logits, tiny_model.logits_of([7]))


def test_a_state_larger_than_the_gpu_binds_is_refused(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    model = gpu_page.open(plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights()))
    page_bytes = tiny_model.PAGE * tiny_model.HIDDEN * 4
    with pytest.raises(Refused, match=r"The state cache would take \d+ bytes.*smaller context") as refused:
        model.session(pages=(1 << 31) // page_bytes)
    assert refused.value.kind == "memory"


@pytest.mark.parametrize(("label", "what"), [("weights 0", "the weights"), ("cache", "a session of")])
def test_memory_that_the_browser_refuses_is_an_error(
    gpu_page: Page, plan_bundle: PlanBundle, label: str, what: str
) -> None:
    folder = plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights())
    gpu_page.limit_buffers(label)
    try:
        with pytest.raises(Refused, match=f"has no memory for {what}") as refused:
            gpu_page.open(folder).session(pages=4)
    finally:
        gpu_page.limit_buffers(None)
    assert refused.value.kind in ("device", "memory")


def many_buffers() -> GpuWriter:
    p = GpuWriter()
    p.function("sum")
    one_unit = p.constant(1)
    total, parts = p.arena(4), [p.arena(4, 1) for _ in range(12)]
    kinds = [(WRITE, "i32"), *[(READ, "i32")] * 12]
    p.step(p.gpu_kernel("sum", kinds, 0, "b0[0] = b12[0];"), [total, *parts], [], units=one_unit)
    p.output("sum", total, [one_unit], dtype=pw.I32)
    return p


def test_an_adapter_that_lacks_what_the_plan_needs_is_told_apart(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    with pytest.raises(Refused, match=r"swiftshader cannot run this model.*13 buffers in a step, it has at most") as no:
        gpu_page.open(plan_bundle(many_buffers()))
    assert no.value.kind == "device"


@pytest.mark.parametrize(
    ("pattern", "by", "kind", "said"),
    [
        (r"\{", "(", "device", "refuses the kernel t_embed. .*error: expected"),
        ("fn t_scale", "fn t_other", "device", "refuses the kernel t_scale"),
        ("//@ t_argmax", "//@ t_argmin", "mismatch", "no shader for the kernel t_argmax"),
        (r"t_embed \d core", "t_embed core", "corrupt", "a line that says nothing: //@ t_embed core"),
        (r"t_embed 8 core", "t_embed 8 f16", "mismatch", "no shader for the kernel t_embed"),
    ],
)
def test_damaged_shaders(gpu_page: Page, plan_bundle: PlanBundle, pattern: str, by: str, kind: str, said: str) -> None:
    plan = gpu_plans.tiny_text()
    shaders = re.sub(pattern, by, "".join(plan.shaders), count=1)
    with pytest.raises(Refused, match=said) as refused:
        gpu_page.open(plan_bundle(plan, gpu_plans.tiny_weights(), shaders))
    assert refused.value.kind == kind


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"scratch_bytes": 64}, "no scratch"),
        ({"version": 99}, "version"),
    ],
)
def test_damaged_plans(gpu_page: Page, plan_bundle: PlanBundle, damage: dict[str, int], said: str) -> None:
    plan = gpu_plans.tiny_text()
    plan.header_changes = damage
    with pytest.raises(Refused, match=said):
        gpu_page.open(plan_bundle(plan, gpu_plans.tiny_weights()))


@pytest.mark.parametrize("name", ["weights.bin", "gpu_plan.bin", "gpu_kernels.wgsl"])
def test_a_bundle_that_lost_bytes_is_refused(gpu_page: Page, plan_bundle: PlanBundle, name: str) -> None:
    folder = plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights())
    (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    with pytest.raises(Refused, match=rf"{name} has") as refused:
        gpu_page.open(folder)
    assert refused.value.kind == "corrupt"


def test_a_gpu_that_a_program_plays_is_not_taken_unasked(gpu_page: Page, plan_bundle: PlanBundle) -> None:
    folder = plan_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights())
    with pytest.raises(Refused, match=r"swiftshader is a program that plays one.*device: .wasm.") as refused:
        gpu_page.open(folder, softwareGpu=False)
    assert refused.value.kind == "device"
