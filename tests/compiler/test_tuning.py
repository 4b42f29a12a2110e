"""What `hearth tune` keeps: it never changes a bit, is used where it holds, and a damaged file does no harm."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.activations import prepared
from tests.compiler.compiled import CACHE, Piece, Sequences, open_session
from tests.compiler.kernel_library import build, isa_params
from tests.compiler.test_products import Product, activations, random_weight

from golden import CASES
from hearth.bundle import cpu
from hearth.compiler import compile_model
from hearth.compiler.cpu.kernels.matmul import MatmulSpec, matmul
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tuning
from hearth.compiler.cpu.tuning_record import (
    Entry,
    TuningRecord,
    read_record,
    record_path,
    remove_record,
    usable_tunings,
    write_record,
)
from hearth.errors import CorruptFile
from hearth.prepare import prepare
from hearth.quant import FORMATS, round_up
from hearth.runtime import Model

LLAMA = next(case for case in CASES if case.name == "llama1")
FAST = Tuning(prefetch_bytes=2048, tile_rows=2, stretch_bytes=4096, chunk_bytes=4096, unroll=2)
OTHERS = (FAST, Tuning(prefetch_bytes=0, tile_rows=8, stretch_bytes=1 << 20, unroll=4))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hearth cache without bundles and results; machine code is that of all tests."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for name in ("kernels", "zig"):
        (CACHE / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(CACHE / name)
    monkeypatch.setenv("HEARTH_CACHE", str(folder))
    return folder


def compiled(**options: Any) -> Path:
    return compile_model(LLAMA.path, name="tiny", quant="q4", **{"isa": "avx2", "target": None, **options})


def result(kernel: str = "matmul_b4_i8_add_avx2", tuning: Tuning = FAST) -> TuningRecord:
    return read_record().with_entries({kernel: Entry(tuning, 1.25)})


def logits(bundle: Path) -> bytes:
    with Model(bundle) as model, open_session(model) as session:
        (rows,) = Sequences(session).run([Piece(0, LLAMA.token_ids)])
    return rows.tobytes()


# -- bits --------------------------------------------------------------------------------------------------------------


def params() -> list[Any]:
    """(instruction set, format); k-quants without dot products of bytes take LLVM long."""
    return [
        pytest.param(*isa.values, fmt, id=f"{isa.id}-{fmt}", marks=[*isa.marks, *slow])
        for isa in isa_params()
        for fmt in ("q4_0", "q5_1", "q8_0", "q4_k", "q6_k", "bf16")
        for slow in [[pytest.mark.slow] if isa.id == "generic" and FORMATS[fmt].is_super else []]
    ]


@pytest.mark.parametrize(("isa", "fmt"), params())
def test_no_tuning_changes_a_bit(isa: Isa, fmt: str, tmp_path: Path) -> None:
    """Else a tuned model would answer other than its neighbour's."""
    kind: Any = "float32" if FORMATS[fmt].is_float else "int8"
    n, k = 72, 600
    weight = random_weight(FORMATS[fmt], n, k)
    x = prepared(activations(19, k), round_up(k, FORMATS[fmt].column_multiple), kind)
    outputs = []
    for number, tuning in enumerate((DEFAULT_TUNING, *OTHERS)):
        spec = MatmulSpec(FORMATS[fmt], isa, activations=kind, tuning=tuning)
        (tmp_path / str(number)).mkdir()
        library = build([matmul(spec)], isa, tmp_path / str(number))
        outputs.append(Product(library, spec).run(weight, n, k, x, chunk=3))
    for output in outputs[1:]:
        assert np.array_equal(output.view(np.uint32), outputs[0].view(np.uint32))


@pytest.mark.skipif("avx2" not in (cpu.features() or ()), reason="this processor has no AVX2")
def test_a_tuned_model_predicts_the_same_bits(cache: Path) -> None:
    names = [
        f"matmul_{layout}_i8_{epilogue}_avx2" for layout in ("b4", "b8") for epilogue in ("add", "store", "logits")
    ]
    tuned = compiled(tunings=dict.fromkeys([*names, "matmul_b4_i8_gated_silu_avx2"], FAST))
    plain = compiled()
    assert tuned != plain
    assert logits(tuned) == logits(plain)


# -- where it is used --------------------------------------------------------------------------------------------------


def test_results_are_used_by_later_compiles_for_this_machine(cache: Path) -> None:
    before = compiled()
    write_record(result())
    assert compiled() != before
    assert compiled(tunings={}) == before
    remove_record()
    assert compiled() == before


def test_results_do_not_leave_the_machine(cache: Path) -> None:
    """A bundle for another machine is the same whatever was tuned on this one."""
    elsewhere = "x86_64-macos"
    before = compiled(target=elsewhere)
    write_record(result())
    assert compiled(target=elsewhere) == before


@pytest.mark.parametrize(
    ("kernel", "tuning"),
    [
        ("matmul_k6_i8_add_avx2", FAST),
        ("matmul_b4_i8_add_avx512vnni", FAST),
        ("matmul_b4_i8_add_avx2", DEFAULT_TUNING),
    ],
)
def test_what_does_not_concern_a_model_is_no_reason_to_compile_it_again(
    cache: Path, kernel: str, tuning: Tuning
) -> None:
    before = compiled()
    write_record(result(kernel, tuning))
    assert compiled() == before


def test_results_of_other_kernels_are_not_used(cache: Path) -> None:
    """After an update of Hearth the numbers may be wrong for the kernels that are compiled then."""
    record = result()
    write_record(TuningRecord(record.processor, "of-another-version", record.entries))
    assert not read_record().is_current
    assert usable_tunings() == {}
    assert result("matmul_b8_i8_add_avx2").entries.keys() == {"matmul_b8_i8_add_avx2"}


@pytest.mark.skipif("avx2" not in (cpu.features() or ()), reason="this processor has no AVX2")
def test_a_model_that_was_opened_before_is_tuned_when_it_is_opened_again(cache: Path) -> None:
    """The short way to a bundle that was opened before must not lead past a new result."""

    def opened() -> Path:
        return prepare(str(LLAMA.path), quant="q4").bundle.path

    before = opened()
    isa = prepare(str(LLAMA.path), quant="q4").bundle.manifest.instruction_sets[0].name
    assert opened() == before
    write_record(result(f"matmul_b4_i8_add_{isa}"))
    assert opened() != before


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(cache: Path) -> None:
    record = result().with_entries({"matmul_b8_i8_store_avx2": Entry(Tuning(unroll=2, tile_rows=None), 1.0)})
    path = write_record(record)
    assert path == record_path()
    assert read_record() == record
    assert remove_record()
    assert not remove_record()
    assert read_record().entries == {}


def changed(**tuning: Any) -> dict[str, Any]:
    return {"tuning": {**asdict(FAST), **tuning}, "speedup": 1.1}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * (2 << 20),
        json.dumps({"version": 99}).encode(),
        json.dumps({"version": 1, "processor": "another", "generator": "", "entries": {}}).encode(),
        *(
            json.dumps({"version": 1, "processor": cpu.processor(), "generator": "x", "entries": entries}).encode()
            for entries in (
                [],
                {"../../etc/passwd": changed()},
                {"matmul_x; rm -rf": changed()},
                {"matmul_x": changed(tile_rows=3)},
                {"matmul_x": changed(tile_rows=1024)},
                {"matmul_x": changed(prefetch_bytes=-64)},
                {"matmul_x": changed(prefetch_bytes=10**30)},
                {"matmul_x": changed(chunk_bytes=0)},
                {"matmul_x": changed(chunk_bytes="96 KB")},
                {"matmul_x": changed(stretch_bytes=1.5)},
                {"matmul_x": changed(unroll=True)},
                {"matmul_x": {"tuning": {}, "speedup": 1}},
                {"matmul_x": {"tuning": None, "speedup": 1}},
                {"matmul_x": {**changed(), "speedup": float("inf")}},
                {"matmul_x": {**changed(), "speedup": "fast"}},
            )
        ),
    ],
)
def test_a_damaged_record_is_named_and_not_used(cache: Path, text: bytes) -> None:
    path = record_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    with pytest.raises(CorruptFile, match="--reset"):
        read_record()
    assert usable_tunings() == {}
    assert remove_record()


def test_this_processor_has_a_name() -> None:
    assert 0 < len(cpu.processor()) <= 200


def test_names_of_processors() -> None:
    intel = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R)\n"
    assert cpu.parse_model(intel) == "Intel(R) Xeon(R) (family 6, model 143)"
    arm = "processor : 0\nCPU implementer : 0x41\nCPU variant : 0x3\nCPU part : 0xd0c\n"
    assert cpu.parse_model(arm) == "implementer 0x41, variant 0x3, part 0xd0c"
    assert cpu.parse_model("isa : rv64imafdc\n") == ""
