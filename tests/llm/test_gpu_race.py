"""The race between variants of a GPU's kernels: who wins is remembered, who computes wrong is out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.compiler.compiled import compile_here

from golden import CASES
from hearth.bundle import GPU_KERNELS, Bundle, open_bundle
from hearth.errors import CorruptFile, DeviceError
from hearth.prepare import Placement, place, race, race_record, shaders
from hearth.prepare.race import choose_variants


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = next(case for case in CASES if case.name == "qwen3")
    return compile_here(case.path, tmp_path_factory.mktemp("race") / "bundle", quant="q4")


@pytest.fixture
def bundle(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path / "cache"))
    return open_bundle(Path(shutil.copytree(compiled, tmp_path / "bundle")))


@pytest.fixture
def gpu(bundle: Bundle) -> Placement:
    try:
        return place(bundle, "gpu")
    except DeviceError as error:
        pytest.skip(f"{error.what} {error.hint}")


def edit(bundle: Bundle, change) -> None:
    path = bundle.path / GPU_KERNELS
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def no_models(*arguments, **options):
    raise AssertionError("a race is run that was run before")


def test_winners_are_remembered_for_the_adapter_and_the_text_of_the_shaders(bundle, gpu, monkeypatch):
    reports: list[str] = []
    chosen = choose_variants(bundle, gpu, lambda: reports.append("race"))
    assert reports == ["race"]
    words = chosen.split(" ")
    variants = shaders.read_variants(bundle)
    assert words[0] == "core"
    for word in words[1:]:
        name, features = word.split("=")
        assert features in variants[name].features
    with monkeypatch.context() as patched:
        patched.setattr(race, "Model", no_models)
        assert choose_variants(bundle, gpu) == chosen
        edit(bundle, lambda text: text + "\n")  # the last kernel is another one now
        with pytest.raises(AssertionError, match="was run before"):
            choose_variants(bundle, gpu)
    record = race_record.record_path(gpu.gpu)
    record.write_text("{damaged")
    choose_variants(bundle, gpu)
    assert f'"{gpu.gpu.label}"' in record.read_text()


def test_a_variant_that_computes_wrong_never_wins(bundle, gpu, monkeypatch):
    """It is the fastest, as what does nothing is."""
    variants = shaders.read_variants(bundle)
    wrong = [name for name, each in variants.items() if each.usable(gpu.gpu.features) != ("core",) and "tile" in name]
    assert wrong, "no kernel has a variant"

    def nothing(text: str) -> str:
        parts = text.split("\n//@ ")
        for i, part in enumerate(parts):
            head = part.split("\n", 1)[0]
            if not head.endswith(" core"):
                assert "{ return; }" in part
                parts[i] = part.replace("{ return; }", "{ return; }\n  if (podArgs.units > 0i) { return; }", 1)
        return "\n//@ ".join(parts)

    edit(bundle, nothing)
    assert choose_variants(bundle, gpu) == "core"


def test_a_gpu_whose_plainest_kernels_compute_wrong_is_not_used(bundle, gpu):
    edit(bundle, lambda text: text.replace("fma(", "min(1.0, "))  # another function, which compiles no more
    with pytest.raises(DeviceError):
        choose_variants(bundle, gpu)


def test_numbers_far_from_those_of_the_processor_are_told(bundle, gpu, monkeypatch):
    monkeypatch.setattr(race, "_FAR_FROM_CPU", 0.0)
    with pytest.raises(DeviceError, match="does not compute what the processor computes"):
        choose_variants(bundle, gpu)


def test_a_file_that_is_none_of_shaders_is_named(bundle):
    edit(bundle, lambda text: text.replace("//@ ", "//@ x x x ", 1))
    with pytest.raises(CorruptFile, match="begins no shader"):
        shaders.read_variants(bundle)
