"""A language model in a page computes on the page's GPU what it computes natively on the processor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import compile_here, open_session, relative_error
from tests.wasm.conftest import EXACT, INT8, LLAMA, Bundles, compiled_both
from tests.wasm.gpu_page import Page, PageModel, in_all_browsers
from tests.wasm.test_forward import PAGES, greedy, mixed_batches

from golden import CASES
from hearth.runtime import Model

pytestmark = in_all_browsers

QWEN = next(case for case in CASES if case.name == "qwen3").path
TABLE = np.arange(PAGES, dtype=np.int32)[None]


@pytest.fixture(scope="module")
def on_gpu(gpu_page: Page, exact: Bundles) -> PageModel:
    return gpu_page.open(exact.wasm, device="auto")


def test_with_floats_it_computes_the_same_and_chooses_the_same_tokens(on_gpu: PageModel, exact: Bundles) -> None:
    with Model(exact.native) as model:
        native, session = open_session(model, pages=PAGES), on_gpu.session(pages=PAGES)
        for mine, theirs in zip(mixed_batches(session), mixed_batches(native), strict=True):
            assert relative_error(mine, theirs) < 1e-4
        assert greedy(session, [1, 20, 33, 9], 64) == greedy(native, [1, 20, 33, 9], 64)


def test_a_decoded_token_makes_nothing_and_brings_4_bytes_back(on_gpu: PageModel) -> None:
    session = on_gpu.session(pages=PAGES)
    session.forward([1, 20, 33], range(3), [0] * 3, TABLE, [2], wanted=["argmax"])
    first = session.counters()
    for position in range(3, 6):
        session.forward([position], [position], [0], TABLE, [0], wanted=["argmax"])
        counters = session.counters()
    assert (counters["passes"], counters["submits"], counters["objects"], counters["readBytes"]) == (1, 1, 0, 4)
    assert counters["writes"] <= 2
    assert counters["allocatedBytes"] == first["allocatedBytes"]


def test_the_processor_computes_where_there_is_no_gpu_of_use_and_says_why(
    gpu_page: Page, on_gpu: PageModel, exact: Bundles
) -> None:
    assert (on_gpu.device["kind"], on_gpu.device["why"]) == ("webgpu", "")
    played = gpu_page.open(exact.wasm, device="auto", softwareGpu=False)
    assert (played.device["kind"], played.device["name"]) == ("wasm", f"{played.info['isa']}, 1 thread")
    assert "a program that plays one" in played.device["why"]
    small = gpu_page.open(exact.wasm, device="auto", memoryLimitBytes=1000)
    assert (small.device["kind"], "memoryLimitBytes allows 1000" in small.device["why"]) == ("wasm", True)
    asked = gpu_page.open(exact.wasm, device="wasm", threads=1)
    assert (asked.device["kind"], asked.device["why"]) == ("wasm", "")
    theirs = on_gpu.session(pages=4).forward([1, 2, 3], range(3), [0] * 3, TABLE[:, :4], [2])
    for model in (played, small, asked):
        session = model.session(pages=4)
        assert session.counters() == {}
        mine = session.forward([1, 2, 3], range(3), [0] * 3, TABLE[:, :4], [2])
        assert relative_error(mine.logits, theirs.logits) < 1e-4


def test_the_engine_answers_several_at_once(on_gpu: PageModel, exact: Bundles) -> None:
    prompts = [[1, 20, 33, 9], [1, 20, 33, 9, *range(5, 60)], [7]]
    with Model(exact.native) as model:
        expected = [greedy(open_session(model, pages=PAGES), prompt, 12) for prompt in prompts]
    assert on_gpu.generate(prompts, temperature=0, maxTokens=12) == expected


def test_the_engine_reads_several_tokens_at_once_and_they_are_the_same(on_gpu: PageModel, exact: Bundles) -> None:
    prompts = [[1, 20, 33, 9], [1, 20, 33, 9, *range(5, 60)], [7]]
    one_by_one = on_gpu.generated(prompts, {"tokensPerReadBack": 1}, temperature=0, maxTokens=33)
    at_once = on_gpu.generated(prompts, {"tokensPerReadBack": 8, "submitMs": 1e9}, temperature=0, maxTokens=33)
    with Model(exact.native) as model:
        expected = [greedy(open_session(model, pages=PAGES), prompt, 33) for prompt in prompts]
    assert one_by_one.tokens == at_once.tokens == expected
    assert one_by_one.submits == one_by_one.read_backs == 33
    # All prompts, then 32 tokens by eights. What a step takes the first eight tell, each submitted by itself.
    assert (at_once.submits, at_once.read_backs) == (1 + 8 + 3, 1 + 4)
    # An answer that ends in the middle of eight, beside others that go on.
    (end,) = {expected[0][10]} - set(expected[0][:10])
    stopped = on_gpu.generated(
        prompts, {"tokensPerReadBack": 8, "submitMs": 1e9}, temperature=0, maxTokens=33, stopTokenIds=[end]
    )
    assert stopped.tokens == [each[: [*each, end].index(end) + 1] for each in expected]


def test_a_token_drawn_among_few_brings_580_bytes_back_and_is_the_processors(gpu_page: Page, tmp_path: Path) -> None:
    folder = compile_here(QWEN, tmp_path / "bundle", target="wasm32", **EXACT)
    on_gpu, processor = gpu_page.open(folder), gpu_page.open(folder, device="wasm", threads=1)
    prompts = [[1, 20, 33, 9], [1, 20, 33, 9, *range(5, 60)], [7]]
    settings = {"topK": 20, "topP": 0.9, "temperature": 1.5, "seed": 11, "maxTokens": 12}
    few = on_gpu.generated(prompts, {}, **settings)
    whole = on_gpu.generated(prompts, {}, **settings, logprobs=0)
    assert few.tokens == whole.tokens == processor.generate(prompts, **settings)
    assert few.read_backs == whole.read_backs == 12
    assert few.read_bytes == 12 * len(prompts) * 580
    assert whole.read_bytes == 12 * len(prompts) * 644
    session = on_gpu.session(pages=PAGES)
    batch = ([1, 20, 33], range(3), [0] * 3, TABLE, [2, 1])
    logits = session.forward(*batch).logits
    values, tokens = session.forward(*batch, wanted=["likeliest"]).likeliest
    np.testing.assert_array_equal(tokens, np.argsort(-logits, axis=1, kind="stable")[:, :72])
    np.testing.assert_array_equal(values, np.take_along_axis(logits, tokens, axis=1))
    assert processor.session(pages=PAGES).forward(*batch, wanted=["likeliest"]).likeliest[1].size == 0


def test_firefox_is_made_to_look_whether_the_gpu_is_done(on_gpu: PageModel, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["gpu_browser"] != "firefox":
        pytest.skip("Chromium tells of itself")
    # Left alone it looks ten times a second, so that there would be ten tokens in one.
    assert on_gpu.generated([[7]], {}, temperature=0, maxTokens=8).nudges > 0


@pytest.mark.slow
def test_with_weights_of_4_bits_it_computes_the_same(gpu_page: Page, tmp_path: Path) -> None:
    bundles = compiled_both(LLAMA, tmp_path, precision="high", **INT8)
    with Model(bundles.native) as model:
        native, session = open_session(model, pages=PAGES), gpu_page.open(bundles.wasm).session(pages=PAGES)
        for mine, theirs in zip(mixed_batches(session), mixed_batches(native), strict=True):
            assert relative_error(mine, theirs) < 1e-4


def test_a_real_model_writes_what_its_code_writes(gpu_page: Page, shared_data: Path, tmp_path: Path) -> None:
    stories = shared_data / "tinyllamas-stories260K"
    expected = json.loads((stories / "expected_greedy.json").read_text())
    folder = compile_here(stories / "stories260K.gguf", tmp_path / "bundle", target="wasm32", precision="high")
    prompts = [expected["prompt_ids"], expected["prompt_ids"] + expected["greedy_ids"][:20]]
    first, second = gpu_page.open(folder).generate(prompts, temperature=0, maxTokens=64)
    assert first == expected["greedy_ids"][:64]
    assert second == expected["greedy_ids"][20:84]
