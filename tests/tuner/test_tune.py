"""`tune` from a model to a record, with budgets too small to find much: that it is sound, not that it is fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.compiler.compiled import CACHE
from tests.compiler.kernel_library import host_isa

from golden import CASES
from hearth.bundle import list_bundles
from hearth.compiler import compile_model
from hearth.compiler.cpu.kernels.matmul import MatmulSpec
from hearth.compiler.cpu.selection import Product
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tuning
from hearth.compiler.cpu.tuning_record import read_record, record_path
from hearth.errors import CorruptFile, HearthError, UsageError
from hearth.quant import FORMATS
from hearth.tuner import tune
from hearth.tuner.decide import Gain
from hearth.tuner.probe import Load, Probe
from hearth.tuner.proof import prove
from hearth.tuner.search import Search, choices, rows_of

LLAMA = next(case for case in CASES if case.name == "llama1")
OTHER = Tuning(prefetch_bytes=1024, tile_rows=2, chunk_bytes=4096)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    for name in ("kernels", "zig"):
        (CACHE / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(CACHE / name)
    monkeypatch.setenv("HEARTH_CACHE", str(folder))
    return folder


def product(fmt: str = "q4_0", **spec: Any) -> Product:
    kind: Any = "float32" if FORMATS[fmt].is_float else "int8"
    chosen = MatmulSpec(FORMATS[fmt], host_isa(), **{"activations": kind, **spec})
    per_unit = 2 if chosen.epilogue == "gated" else 1
    return Product(chosen, 12, FORMATS[fmt].packed_size(16 * per_unit, 256), 256 // FORMATS[fmt].block_columns, 256)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"bias": True, "epilogue": "add", "scale": 0.5},
        {"bias": True, "epilogue": "gated"},
        {"epilogue": "logits", "softcap": 30.0},
        {"activations": "float32"},
        {"fmt": "q4_k"},
        {"fmt": "f16"},
    ],
    ids=str,
)
def test_every_kind_of_product_can_be_measured(spec: dict[str, Any], cache: Path, tmp_path: Path) -> None:
    """Under the guard of the runtime's own checks of a plan."""
    tunings = [DEFAULT_TUNING, OTHER, Tuning(chunk_bytes=2048)]
    (tmp_path / "probe").mkdir()
    for load in (Load(1, 1 << 20, 1 << 62), Load(33, 1 << 20, 10**8)):
        with Probe(product(**spec), tunings, load, threads=2, folder=tmp_path / "probe", cache=cache) as probe:
            times = probe.round()
        assert len(times) == 3
        assert all(time > 0 for time in times)


@pytest.mark.parametrize("fmt", ["q4_0", "q6_k", "bf16"])
def test_choices_are_others_and_reach_each_other(fmt: str) -> None:
    each = product(fmt)
    for field in ("prefetch_bytes", "tile_rows", "stretch_bytes", "chunk_bytes", "unroll"):
        for choice in choices(each, DEFAULT_TUNING, field):
            assert choice != DEFAULT_TUNING
            assert {**vars(choice), field: getattr(DEFAULT_TUNING, field)} == vars(DEFAULT_TUNING)
            assert len(choices(each, choice, field)) >= 1


def test_tuning_a_model_leaves_a_sound_record(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring is replaced by a machine on which one prefetch distance is best: the rest is real."""

    def measured(self: Search, of: Product, tunings: list[Tuning]) -> dict[int, list[Gain]]:
        def log(tuning: Tuning) -> float:
            return 0.2 * (tuning.prefetch_bytes == 2048) - 0.1 * (tuning.tile_rows is not None)

        return {rows: [Gain(log(t) - log(tunings[0]), 0.001) for t in tunings[1:]] for rows, _ in rows_of(of)}

    monkeypatch.setattr(Search, "_measure", measured)
    told: list[str] = []
    result = tune(
        LLAMA.path, name="tiny", quant="q4", threads=2, budget_s=60, progress=lambda p: told.append(p.stage)
    )  # fmt: skip
    assert result.complete
    assert result.proof is not None
    assert result.proof.tokens > 50
    assert {found.tuning for found in result.kernels} == {Tuning(prefetch_bytes=2048)}
    assert {"tune", "compile"} <= set(told)
    if result.record is not None:  # on a busy machine the small model may seem slower as a whole
        assert result.record == record_path()
        assert set(read_record().tunings.values()) == {Tuning(prefetch_bytes=2048)}
        (left,) = list_bundles()
        assert compile_model(LLAMA.path, name="tiny", quant="q4") == left.path, "the tuned bundle is what is opened"
    assert not [path for path in cache.iterdir() if path.name.startswith(".probe")]


def test_a_dry_run_keeps_nothing(cache: Path) -> None:
    result = tune(LLAMA.path, name="tiny", quant="q4", threads=1, budget_s=0.01, keep=False)
    assert result.record is None
    assert not result.complete
    assert result.to_json()["proof"] is None
    assert not record_path().exists()
    assert list_bundles() == []


def test_models_that_differ_are_no_proof(cache: Path) -> None:
    """The guard against a kernel whose tuning changes what it computes."""
    first, second = (compile_model(LLAMA.path, name="tiny", quant=quant) for quant in ("q4", "q8"))
    with pytest.raises(HearthError, match="does not compute what it did"):
        prove(first, second, threads=1)


@pytest.mark.parametrize(
    "options", [{"budget_s": 0}, {"budget_s": float("nan")}, {"threads": 0}, {"isa": "all"}], ids=str
)
def test_what_cannot_be_is_told_at_once(cache: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        tune(LLAMA.path, name="tiny", **options)


def test_a_damaged_record_stops_tuning(cache: Path) -> None:
    record_path().parent.mkdir()
    record_path().write_text("{")
    with pytest.raises(CorruptFile, match="--reset"):
        tune(LLAMA.path, name="tiny", budget_s=1)
