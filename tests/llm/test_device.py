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
