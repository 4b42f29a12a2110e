"""`compile_model` as a user meets it: caches, interruptions, sources that cannot be compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import CACHE, Piece, Sequences, open_session
from tests.compiler.kernel_library import isa_params

from golden import CASES
from hearth.bundle import list_bundles, open_bundle
from hearth.compiler import compile_model
from hearth.compiler.cpu import objects
from hearth.errors import CorruptFile, HearthError, ModelNotFound, StorageError, Unsupported, UsageError
from hearth.runtime import Model

LLAMA = next(case for case in CASES if case.name == "llama1")
EXACT: dict[str, Any] = {"quant": "f32", "head": "f32", "precision": "high"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hearth cache without bundles; kernels and the C compiler's files are those of all tests."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for name in ("kernels", "zig"):
        (CACHE / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(CACHE / name)
    monkeypatch.setenv("HEARTH_CACHE", str(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A model folder of its own, to be damaged."""
    shutil.copytree(LLAMA.path, tmp_path / "model", ignore=shutil.ignore_patterns("*.gguf", "*.npz"))
    return tmp_path / "model"


def answers(bundle: Path, isa: str | None = None) -> bool:
    """Whether the bundle runs and predicts what the golden numbers say."""
    with Model(bundle, isa=isa) as model, open_session(model) as session:
        (logits,) = Sequences(session).run([Piece(0, LLAMA.token_ids)])
    return bool((logits.argmax(1) == LLAMA.expected_logits().argmax(1)).all())


def test_several_threads_may_open_models_that_are_not_compiled_yet(cache: Path) -> None:
    cases = [LLAMA, LLAMA, *(case for case in CASES if case.name in ("qwen3", "gemma2"))]
    with ThreadPoolExecutor(len(cases)) as pool:
        made = list(pool.map(lambda case: compile_model(case.path, name=case.name, **EXACT), cases))
    assert made[0] == made[1]
    assert len(list_bundles()) == len(set(made)) == 3
    assert answers(made[0])


def test_one_bundle_has_kernels_for_every_processor(cache: Path) -> None:
    """Each set that this processor runs, by itself and chosen by name; the first is what it takes unasked."""
    bundle = compile_model(LLAMA.path, name="tiny", isa="all", **EXACT)
    names = [each.name for each in open_bundle(bundle).manifest.instruction_sets]
    ran = []
    for isa in isa_params():
        if not isa.marks[0].args[0]:
            assert answers(bundle, isa.id)
            ran.append(isa.id)
    with Model(bundle) as model:
        assert (model.info.isa, list(model.info.isas)) == (ran[0], names)
    assert names[-1] == "generic"


# -- caches ------------------------------------------------------------------------------------------------------------


def test_the_second_time_no_compiler_is_loaded(cache: Path) -> None:
    """A model that is compiled opens at once, also where TVM is not installed."""
    first = compile_model(LLAMA.path, name="tiny", **EXACT)
    program = f"""
import sys
from pathlib import Path
from hearth.compiler import compile_model
print(compile_model(Path({str(LLAMA.path)!r}), name="tiny", **{EXACT!r}))
assert "tvm" not in sys.modules, "TVM was imported"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == first
    assert answers(first)


def test_kernels_are_compiled_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model with the same kernels, or the same one compiled anew, costs no LLVM."""
    compile_model(LLAMA.path, name="first", **EXACT)

    def refuse(*arguments: object) -> None:
        raise AssertionError("a kernel was compiled a second time")

    monkeypatch.setattr(objects, "write_object", refuse)
    again = compile_model(LLAMA.path, name="second", force=True, **EXACT)
    assert answers(again)


@pytest.mark.parametrize(
    "other", [{"quant": "q8"}, {"head": "f16"}, {"precision": "default"}, {"isa": "generic"}], ids=str
)
def test_other_settings_are_another_bundle(cache: Path, other: dict[str, str]) -> None:
    bundles = {compile_model(LLAMA.path, name="tiny", **{**EXACT, **settings}) for settings in ({}, other)}
    assert len(bundles) == 2


def test_a_changed_model_is_compiled_anew(cache: Path, source: Path) -> None:
    before = compile_model(source, name="tiny", **EXACT)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert compile_model(source, name="tiny", **EXACT) != before


def test_a_damaged_bundle_is_made_anew(cache: Path) -> None:
    bundle = compile_model(LLAMA.path, name="tiny", **EXACT)
    (bundle / "plan.bin").write_bytes(b"HRTHPLAN")
    assert compile_model(LLAMA.path, name="tiny", **EXACT) == bundle
    assert answers(bundle)


def test_ir_after_each_phase_can_be_read(cache: Path, tmp_path: Path) -> None:
    compile_model(LLAMA.path, name="tiny", dump_ir=tmp_path / "ir", **EXACT)
    files = sorted((tmp_path / "ir").iterdir())
    phases = [file.stem.partition("_")[2] for file in files]
    assert phases[0] == "network"
    assert len(phases) == len(set(phases)) >= 7
    texts = {phase: file.read_text() for phase, file in zip(phases, files, strict=True)}
    assert all("def forward" in text for text in texts.values())
    assert "hearth.paged_attention" in texts["network"]
    assert "matmul" in texts["select_kernels"]


def test_progress_tells_what_is_done(cache: Path) -> None:
    told: list[tuple[str, int, int]] = []
    bundle = compile_model(LLAMA.path, name="tiny", progress=lambda *event: told.append(event), **EXACT)
    labels = list(dict.fromkeys(label for label, _, _ in told))
    assert labels.index("planning") < labels.index("compiling kernels") < labels.index("packing weights")
    assert all(done <= total for _, done, total in told)
    packed = [done for label, done, _ in told if label == "packing weights"]
    assert packed == sorted(packed)
    assert packed[-1] <= open_bundle(bundle).manifest.facts.weights_bytes


# -- what does not end well --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage", ["reading", "planning", "compiling kernels", "linking", "packing weights", "writing the bundle"]
)
def test_an_interrupted_compile_leaves_nothing_that_counts(cache: Path, stage: str) -> None:
    def interrupt(label: str, done: int, total: int) -> None:
        if label == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_model(LLAMA.path, name="tiny", progress=interrupt, **EXACT)
    assert list_bundles() == []
    assert not [path for path in (cache / "bundles").glob("**/*") if path.is_file()]
    assert answers(compile_model(LLAMA.path, name="tiny", **EXACT))


def test_an_interrupted_kernel_is_not_taken_for_whole(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "kernels").unlink()
    write = objects.write_object

    def half(module: Any, target: Any, path: Path) -> None:
        write(module, target, path)
        path.write_bytes(path.read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(objects, "write_object", half)
    with pytest.raises(KeyboardInterrupt):
        compile_model(LLAMA.path, name="tiny", **EXACT)
    assert list((cache / "kernels").iterdir()) == []


def test_a_kernel_that_was_damaged_in_the_cache_is_compiled_anew(cache: Path) -> None:
    (cache / "kernels").unlink()
    compile_model(LLAMA.path, name="tiny", **EXACT)
    kernel = next((cache / "kernels").glob("*.o"))
    whole = kernel.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1] + b"?"):
        kernel.write_bytes(damaged)
        assert answers(compile_model(LLAMA.path, name="tiny", force=True, **EXACT))
        assert kernel.read_bytes() == whole
    kernel.with_name(f"{kernel.name}.sha256").unlink()
    assert answers(compile_model(LLAMA.path, name="tiny", force=True, **EXACT))


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / name
        file.write_bytes(file.read_bytes()[:-100])

    return damage


def edit(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return damage


def poison(folder: Path) -> None:
    """The last number of the file becomes NaN."""
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-2] + np.float16(np.nan).tobytes())


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (shutil.rmtree, ModelNotFound, "model"),
        (lambda folder: (folder / "config.json").unlink(), HearthError, "config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), CorruptFile, "config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), HearthError, "safetensors"),
        (cut("model.safetensors"), CorruptFile, "model.safetensors"),
        (edit(model_type="rwkv7"), Unsupported, "rwkv7"),
        (edit(hidden_act="mish"), Unsupported, "relu"),
        (edit(num_hidden_layers=3), HearthError, "layers.2"),
        (edit(hidden_size=64), HearthError, "64"),
        (poison, CorruptFile, "finite"),
    ],
    ids=["gone", "no-config", "bad-json", "no-weights", "truncated", "unknown", "activation", "layers", "shape", "nan"],
)
def test_what_cannot_be_compiled_is_refused_by_name(
    cache: Path, source: Path, damage: Callable[[Path], None], error: type[HearthError], says: str
) -> None:
    damage(source)
    with pytest.raises(error) as caught:
        compile_model(source, name="tiny", **EXACT)
    assert says in str(caught.value)
    assert list_bundles() == []


@pytest.mark.parametrize(
    "settings", [{"quant": "q3"}, {"head": "int8"}, {"isa": "avx9"}, {"isa": "dotprod", "target": "x86_64-linux-gnu"}]
)
def test_settings_that_do_not_exist_are_refused(cache: Path, settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        compile_model(LLAMA.path, name="tiny", **settings)  # type: ignore[arg-type]


def test_an_unknown_target_is_refused(cache: Path) -> None:
    with pytest.raises(HearthError, match="riscv64"):
        compile_model(LLAMA.path, name="tiny", target="riscv64-linux-gnu", **EXACT)
    assert list_bundles() == []


@pytest.mark.parametrize("blocked", ["", "bundles", "kernels", "zig"])
def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    """A file stands where a folder is needed: what a read-only disk looks like to any user, root too."""
    place = cache / blocked if blocked else tmp_path / "file"
    if place.is_symlink():
        place.unlink()
    place.write_text("in the way")
    if not blocked:
        monkeypatch.setenv("HEARTH_CACHE", str(place))
    with pytest.raises(StorageError):
        compile_model(LLAMA.path, name="tiny", **EXACT)


def test_a_folder_that_is_no_bundle_is_never_replaced(cache: Path, tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    (place / "letter.txt").write_text("dear")
    with pytest.raises(StorageError):
        compile_model(LLAMA.path, name="tiny", output=place, **EXACT)
    assert (place / "letter.txt").read_text() == "dear"
