"""Where a model runs: `device`, what `auto` takes and says, and what cannot be had."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import compile_here

from golden import CASES
from hearth import LLM
from hearth.bundle import GPU_PLAN, open_bundle
from hearth.engine import SamplingParams
from hearth.errors import DeviceError, UsageError
from hearth.prepare import place, placement
from hearth.runtime import GpuInfo

LIMITS = {"buffer_bytes": 1 << 30, "binding_bytes": 1 << 27, "storage_buffers": 8, "workgroup_bytes": 16384,
          "invocations": 256, "workgroups": 65535}  # fmt: skip


def gpu(index: int, kind: str, name: str) -> GpuInfo:
    return GpuInfo(index, name, kind, "vulkan", "driver", 1, 2, (), False, LIMITS)


SOFTWARE, INTEGRATED, DISCRETE = gpu(0, "cpu", "soft"), gpu(1, "integrated", "inner"), gpu(2, "discrete", "card")


@pytest.fixture(scope="module")
def model() -> Path:
    return next(case for case in CASES if case.name == "qwen3").path


@pytest.fixture(scope="module")
def bundle(model: Path, tmp_path_factory: pytest.TempPathFactory):
    return open_bundle(compile_here(model, tmp_path_factory.mktemp("device") / "bundle"))


@pytest.fixture
def there_are(monkeypatch: pytest.MonkeyPatch):
    def set_gpus(*gpus: GpuInfo, memory: int | None = None) -> None:
        monkeypatch.setattr(placement, "devices", lambda library: gpus)
        monkeypatch.setattr(placement, "gpu_memory", lambda gpu: memory)

    return set_gpus


def test_auto_takes_the_best_gpu_and_says_so(bundle, there_are):
    there_are(SOFTWARE, INTEGRATED, DISCRETE)
    taken = place(bundle, "auto")
    assert (taken.device, taken.name, taken.is_gpu) == ("gpu:2", "card (Vulkan)", True)
    assert taken.why == "it is a GPU that the model fits"


@pytest.mark.parametrize(
    ("gpus", "memory", "why"),
    [
        ([], None, "there is no GPU that can be used"),
        ([SOFTWARE], None, "soft is no GPU, but a program that plays one"),
        ([DISCRETE], 1000, "the model takes .*, card has 1000 bytes"),
    ],
)
def test_auto_stays_on_the_cpu_and_says_why(bundle, there_are, gpus, memory, why):
    there_are(*gpus, memory=memory)
    taken = place(bundle, "auto")
    assert (taken.device, taken.is_gpu) == ("cpu", False)
    assert re.fullmatch(why, taken.why)


def test_a_gpu_that_is_asked_for_is_had_or_an_error_tells_which_there_are(bundle, there_are):
    there_are(SOFTWARE, INTEGRATED)
    assert place(bundle, "gpu").device == "gpu:1"
    assert place(bundle, "gpu:0").device == "gpu:0"
    with pytest.raises(DeviceError, match=r"no gpu:7.*gpu:0 is soft \(Vulkan\), gpu:1 is inner \(Vulkan\)"):
        place(bundle, "gpu:7")
    there_are()
    with pytest.raises(DeviceError, match="no GPU that can be used"):
        place(bundle, "gpu")


def test_a_bundle_without_kernels_for_gpus_stays_on_the_cpu(bundle, there_are, monkeypatch):
    there_are(DISCRETE)
    files = {name: entry for name, entry in bundle.manifest.files.items() if name != GPU_PLAN}
    without = replace(bundle, manifest=replace(bundle.manifest, files=files))
    assert "is not compiled for GPUs" in place(without, "auto").why
    with pytest.raises(DeviceError, match="is not compiled for GPUs"):
        place(without, "gpu")


def test_what_is_no_device_is_refused_before_anything_is_read():
    for wrong in ("cuda", "gpu:", "gpu:x", ""):
        with pytest.raises(UsageError, match="must be 'auto', 'cpu', 'gpu' or 'gpu:N'"):
            LLM("nobody/nothing", device=wrong)


def test_the_gpu_gives_the_answers_of_the_cpu(model: Path):
    prompts = [list(range(1, 40)), list(range(50, 60)), [7]]
    with LLM(model, device="cpu", precision="high", max_seqs=3) as cpu:
        try:
            opened = LLM(model, device="gpu", precision="high", max_seqs=3)
        except DeviceError as error:
            pytest.skip(f"{error.what} {error.hint}")
        with opened as on_gpu:
            assert on_gpu.info.device.is_gpu
            expected = cpu.logits(prompts[0])
            difference = np.abs(on_gpu.logits(prompts[0]) - expected).max()
            assert difference <= 1e-4 * np.abs(expected).max()
            assert np.abs(on_gpu.embed(prompts[0]) - cpu.embed(prompts[0])).max() <= 1e-4
            for temperature in (0.0, 1.0):
                params = SamplingParams(temperature=temperature, seed=3, max_tokens=12)
                for ids in prompts:
                    here, there = ([e.token for e in llm.engine.generate(ids, params=params)] for llm in (cpu, on_gpu))
                    assert there == here


def test_layers_that_are_asked_for_are_on_the_gpu(bundle, there_are):
    layers = bundle.manifest.language.layers
    there_are(INTEGRATED)
    divided = place(bundle, "gpu", 1)
    assert (divided.device, divided.gpu_layers, divided.layers) == ("gpu:1", 1, layers)
    assert divided.why == f"as asked for; 1 of {layers} layers are on it, the rest on the CPU"
    assert place(bundle, "auto", 1).gpu_layers == 1
    assert place(bundle, "gpu", layers).gpu_layers is None
    assert place(bundle, "gpu", "auto").gpu_layers is None, "nobody knows how much memory there is: all"
    with pytest.raises(UsageError, match=f"{layers + 1} layers are asked for on the GPU, .* has {layers}"):
        place(bundle, "gpu", layers + 1)


def room_for(bundle, layers: int) -> int:
    """Memory of a GPU that so many layers fit, of which an eighth is left to others."""
    facts, text = bundle.manifest.facts, bundle.manifest.language
    beside = facts.weights_bytes - text.layers * text.layer_bytes + facts.arena_bytes
    each = text.layer_bytes + min(text.context_max, 8192) * text.kv_bytes_per_token // text.layers
    return (beside + layers * each + each // 2) * 8 // 7


def test_as_many_layers_as_fit_the_memory_are_on_the_gpu(bundle, there_are):
    layers = bundle.manifest.language.layers
    fewer = replace(bundle.manifest.language, kv_bytes_per_token=0)
    bundle = replace(bundle, manifest=replace(bundle.manifest, text=fewer))
    there_are(DISCRETE, memory=room_for(bundle, 1))
    assert place(bundle, "gpu", "auto").gpu_layers == 1
    taken = place(bundle, "auto")
    assert (taken.device, taken.gpu_layers) == ("gpu:2", 1)
    assert re.fullmatch(
        rf"the model takes .*, card has .*; 1 of {layers} layers are on it, the rest on the CPU", taken.why
    )
    there_are(DISCRETE, memory=room_for(bundle, 0))
    assert place(bundle, "auto").device == "cpu"
    with pytest.raises(DeviceError, match="Not one layer"):
        place(bundle, "gpu", "auto")


def test_what_is_no_number_of_layers_is_refused_before_anything_is_read():
    for wrong in (0, -1, True, "many"):
        with pytest.raises(UsageError, match="must be 'auto' or a number from 1 on"):
            LLM("nobody/nothing", gpu_layers=wrong)
    with pytest.raises(UsageError, match="but device is 'cpu'"):
        LLM("nobody/nothing", gpu_layers=1, device="cpu")


def test_a_gpu_and_the_cpu_together_give_the_answers_of_the_cpu(model: Path):
    ids = list(range(1, 40))
    with LLM(model, device="cpu", precision="high", max_seqs=3) as cpu:
        try:
            opened = LLM(model, device="gpu", gpu_layers=1, precision="high", max_seqs=3)
        except DeviceError as error:
            pytest.skip(f"{error.what} {error.hint}")
        with opened as both:
            assert both.info.device.gpu_layers == 1
            assert both.info.weights_bytes >= cpu.info.weights_bytes
            expected = cpu.logits(ids)
            assert np.abs(both.logits(ids) - expected).max() <= 1e-4 * np.abs(expected).max()
            params = SamplingParams(temperature=1.0, seed=3, max_tokens=12)
            here, there = ([e.token for e in llm.engine.generate(ids, params=params)] for llm in (cpu, both))
            assert there == here
