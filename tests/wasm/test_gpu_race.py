"""A page's GPU has to show that it computes what the processor computes before anybody reads it; variants of kernels
race, and what won is remembered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.wasm.conftest import Bundles, changed_bundle, compiled_both
from tests.wasm.gpu_page import Page, PageModel, needs_chromium, open_page
from tests.wasm.node import Refused

from hearth.bundle import KNOWN_ANSWERS, open_bundle
from hearth.hub.local import STARTER_PATH
from hearth.prepare import known_answers

pytestmark = needs_chromium

SHADERS = "gpu_kernels.wgsl"
RACING = re.compile(r"rows1x\d+_f32_add")


@pytest.fixture(scope="module")
def stories(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    source = shared_data / "tinyllamas-stories260K" / "stories260K.gguf"
    return compiled_both(source, tmp_path_factory.mktemp("stories"), precision="high")


@pytest.fixture(scope="module")
def known(stories: Bundles) -> bytes:
    answers = known_answers(open_bundle(stories.native))
    assert answers is not None
    return answers.encode()


@pytest.fixture(scope="module")
def sound(stories: Bundles, known: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With known answers, and no variants but those that a test makes."""
    files = {KNOWN_ANSWERS: known, SHADERS: core_of(stories.wasm)}
    return changed_bundle(stories.wasm, tmp_path_factory.mktemp("sound") / "bundle", files)


@pytest.fixture
def page(gpu_browser: Any) -> Iterator[Page]:
    """Of an origin where no race was yet."""
    with open_page(gpu_browser) as opened:
        yield opened


def shaders_of(bundle: Path) -> list[str]:
    """Each with the line that begins it."""
    return re.split(r"^(?=//@ )", (bundle / SHADERS).read_text(), flags=re.MULTILINE)[1:]


def core_of(bundle: Path) -> bytes:
    """The shaders that every adapter runs."""
    return "".join(each for each in shaders_of(bundle) if each.split("\n")[0].endswith(" core")).encode()


def kernels(bundle: Path) -> dict[str, str]:
    """The shaders of a bundle without variants, by their kernels."""
    return {shader.split(" ")[1]: shader for shader in shaders_of(bundle)}


def damaged(shader: str) -> str:
    """One that compiles, and computes something else: what it writes is twice that, or a token too far."""
    by = r"\1\2 + 1;" if shader.startswith("//@ argmax") else r"\1\2 + \2;"
    result, count = re.subn(r"(\s[YO]\[.*\] = )(.*);", by, shader)
    assert count > 0
    return result


def with_variant(shader: str, features: str) -> str:
    return shader.replace(" core\n", f" {features}\n", 1)


def changed(sound: Path, folder: Path, change: Callable[[dict[str, str]], list[str]]) -> Path:
    """The bundle with shaders that are made of its own, by their kernels."""
    shaders = kernels(sound)
    return changed_bundle(sound, folder / "bundle", {SHADERS: "".join(change(shaders)).encode()})


def greedy(model: PageModel) -> list[int]:
    return model.generate([[1, 403, 407]], temperature=0, maxTokens=24)[0]


def variants_of(model: PageModel) -> dict[str, str]:
    used: dict[str, str] = model.device["variants"]
    return used


def test_a_gpu_that_computes_what_the_processor_computes_is_used(page: Page, sound: Path) -> None:
    model = page.open(sound)
    assert (model.device["isChecked"], model.device["variants"]) == (True, {})
    assert page.ask("records") == []
    assert greedy(model) == greedy(page.open(sound, device="wasm"))


def test_the_memory_that_is_taken_is_what_the_plan_says(page: Page, sound: Path) -> None:
    session = page.open(sound).session(pages=200)
    session.forward([1, 2, 3], range(3), [0] * 3, np.zeros((1, 1), np.int32), [2])
    taken, counters = page.ask("taken"), session.counters()
    assert counters["plannedBytes"] > 8 << 20
    assert abs(taken["bytes"] - counters["plannedBytes"]) <= 0.02 * counters["plannedBytes"]
    assert taken["bytes"] == counters["allocatedBytes"], "what the check took was given back"
    assert taken["outsideOfScopes"] == 0


def test_the_known_answers_use_the_kernels_of_a_chat(page: Page, stories: Bundles, known: bytes) -> None:
    session = page.open(stories.wasm).session(pages=18)
    used: set[str] = set()
    for call in json.loads(known)["calls"]:
        count = len(call["tokens"])
        positions = range(call["position"], call["position"] + count)
        rows = range(count - call["rows"], count)
        session.forward(call["tokens"], positions, [0] * count, np.array([call["pages"]], np.int32), rows)
        used.update(session.counters()["kernels"])
    # For rows of more than 32 sequences at once, and an output that pages do not ask for.
    left = [name for name in kernels(stories.wasm) if name not in used]
    assert all(re.match(r"tile64_\w*logits|likeliest$", name) for name in left), left


@pytest.mark.parametrize("kernel", ["tile64_f32_add", "rows4x\\d+_f32_logits", "attention_merge", "argmax"])
def test_a_gpu_that_computes_something_else_is_not_used_and_it_is_said_why(
    page: Page, sound: Path, tmp_path: Path, kernel: str
) -> None:
    def change(shaders: dict[str, str]) -> list[str]:
        assert any(re.match(kernel, name) for name in shaders)
        return [damaged(shader) if re.match(kernel, name) else shader for name, shader in shaders.items()]

    folder = changed(sound, tmp_path, change)
    with pytest.raises(
        Refused, match=r"does not compute what the processor computes\. Logits are .* those of"
    ) as refused:
        page.open(folder)
    assert refused.value.kind == "device"
    if kernel == "argmax":
        model = page.open(folder, device="auto")
        assert model.device["kind"] == "wasm"
        assert "does not compute what the processor computes" in model.device["why"]
        assert greedy(model) == greedy(page.open(sound, device="wasm"))


def test_variants_race_and_what_won_is_remembered(page: Page, sound: Path, tmp_path: Path) -> None:
    def change(shaders: dict[str, str]) -> list[str]:
        rows = [shader for name, shader in shaders.items() if RACING.match(name)]
        right = [with_variant(shader, "dot4") for shader in rows]
        wrong = [with_variant(damaged(shader), "subgroups") for shader in rows]
        unknown = [with_variant(shader, "f16+dot4") for shader in rows]
        return [*shaders.values(), *right, *wrong, *unknown]

    folder = changed(sound, tmp_path, change)
    count = len(kernels(sound))
    model = page.open(folder)
    assert set(variants_of(model).values()) <= {"dot4"}  # what is wrong cannot win, what the GPU has not is not tried
    racing = len([name for name in kernels(sound) if RACING.match(name)])
    assert page.ask("pipelines") == count + 2 * racing
    (record,) = page.ask("records")
    assert len(record["kernels"]) == racing
    assert record["lost"] == []
    again = page.open(folder)
    assert page.ask("pipelines") == count
    assert variants_of(again) == variants_of(model)
    # Whichever won here: what the record says is used, and checked.
    page.ask("writeRecord", record=record | {"kernels": dict.fromkeys(record["kernels"], "dot4")})
    chosen = page.open(folder)
    assert len(variants_of(chosen)) == racing
    assert greedy(chosen) == greedy(page.open(sound))
    page.ask("writeRecord", record=record | {"kernels": dict.fromkeys(record["kernels"], "subgroups")})
    assert variants_of(page.open(folder)) == {}
    assert set(page.ask("records")[0]["kernels"].values()) == {"core"}


def test_a_variant_that_takes_the_gpu_with_it_is_tried_once(page: Page, sound: Path, tmp_path: Path) -> None:
    deadly = "// deadly\n"

    def change(shaders: dict[str, str]) -> list[str]:
        return [*shaders.values(), with_variant(shaders["tile64_f32_add"], "dot4") + deadly]

    folder = changed(sound, tmp_path, change)
    page.ask("killBy", text=deadly)
    for _ in range(2):
        model = page.open(folder)
        assert (model.device["kind"], model.device["variants"]) == ("webgpu", {})
        assert len(page.ask("records")[0]["lost"]) == 1
    assert greedy(model) == greedy(page.open(sound))


def test_a_variant_that_the_driver_refuses_is_left_alone(page: Page, sound: Path, tmp_path: Path) -> None:
    def change(shaders: dict[str, str]) -> list[str]:
        return [*shaders.values(), with_variant(shaders["tile64_f32_add"], "dot4").replace("{", "(", 1)]

    assert variants_of(page.open(changed(sound, tmp_path, change))) == {}


def test_variants_that_the_compiler_makes_compute_the_same(page: Page, tmp_path: Path) -> None:
    starter = compiled_both(STARTER_PATH, tmp_path)
    answers = known_answers(open_bundle(starter.native))
    assert answers is not None
    folder = changed_bundle(starter.wasm, tmp_path / "checked", {KNOWN_ANSWERS: answers.encode()})
    page.open(folder).close()
    (record,) = page.ask("records")
    tried = set()
    for features in {shader.split("\n")[0].split(" ")[3] for shader in shaders_of(folder)} - {"core"}:
        page.ask("writeRecord", record=record | {"kernels": dict.fromkeys(record["kernels"], features)})
        used = set(variants_of(page.open(folder)).values())
        assert used <= {features}
        tried |= used
        # It would say otherwise where it had found them to be wrong.
        assert set(page.ask("records")[0]["kernels"].values()) == {features}
    assert "dot4" in tried


def test_known_answers_that_are_none_are_told(page: Page, sound: Path, tmp_path: Path) -> None:
    for content, said in ((b"?", "no JSON"), (b'{"format": 99}', "format 99")):
        folder = changed_bundle(sound, tmp_path / said, {KNOWN_ANSWERS: content})
        with pytest.raises(Refused, match=f"known answers .*{said}"):
            page.open(folder)
