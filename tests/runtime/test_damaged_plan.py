"""A damaged or hand-made plan.bin or weights.bin is refused with an error that names what is wrong."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import tiny_model
from tests.runtime.conftest import CACHE, BundleMaker, compile_kernels
from tests.runtime.plan_writer import ARENA, HEADER_FIELDS, KV, WEIGHT, PlanWriter

from hearth.compiler.cpu.link import library_name, link_library
from hearth.errors import BundleMismatch, CorruptFile, HearthError, NotEnoughMemory, StorageError
from hearth.runtime import Model, Session

BIG = 2**31
HUGE = 2**62


@pytest.fixture(scope="module")
def inert_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with kernels of the same names that touch nothing, its runtime under UndefinedBehaviorSanitizer.

    A plan that passes all checks may still ask a real kernel for nonsense (the wrong buffer of the right size); that is
    not what these tests are about.
    """
    folder = tmp_path_factory.mktemp("inert")
    lines = ["#include <stdint.h>"]
    for k in tiny_model.KERNELS:
        parameters = ["int64_t", "int64_t", *["void *"] * k.num_buffers, *["int64_t"] * k.num_scalars, "void *"]
        named = ", ".join(f"{p} a{i}" for i, p in enumerate(parameters))
        lines.append(f"int32_t {k.name}({named}) {{ return 0; }}")
    source = folder / "inert.c"
    source.write_text("\n".join(lines), encoding="ascii")
    objects = [compile_kernels(source, folder / "inert.o")]
    output = folder / library_name()
    link_library(objects, tiny_model.SETS, output, cache_dir=CACHE, sanitize=True)
    return output


def run(folder: Path) -> None:
    with Model(folder, memory_limit_bytes=1 << 30) as model, Session(model, num_pages=4, threads=2) as session:
        session.forward([1, 2, 3], [0, 1, 2], [0, 0, 0], [[0, 1, 2, 3, -1, -1, -1, -1]], [2])


Damage = Callable[[PlanWriter], Any]


def header(**changes: Any) -> Damage:
    return lambda p: p.header_changes.update(changes)


def record(table: str, index: int, position: int, value: int) -> Damage:
    def change(p: PlanWriter) -> None:
        rows = getattr(p, table)
        fields = list(rows[index])
        fields[position] = value
        rows[index] = tuple(fields)

    return change


def index_of(p: PlanWriter, kind: int) -> int:
    return next(i for i, b in enumerate(p.buffers) if b[0] == kind)


def buffer(kind: int, position: int, value: int) -> Damage:
    return lambda p: record("buffers", index_of(p, kind), position, value)(p)


def argument(index: int, value: int) -> Damage:
    return lambda p: p.args.__setitem__(index, value)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (header(magic=b"HRTHPLAM"), "does not begin with HRTHPLAN"),
        (header(header_size=200), "header_size is 200"),
        (header(file_size=10), "says it has 10 bytes"),
        (header(num_meta=1), "num_meta"),
        *((header(**{name: 0}), f"{name} is 0") for name in PlanWriter().limits),
        *((header(**{name: BIG}), f"{name} is {BIG}") for name in PlanWriter().limits),
        *((header(**{name: 2**32 - 1}), "its tables take") for name, _ in HEADER_FIELDS if name.startswith("num_s")),
        (header(num_args=1000), "its tables take"),
        (header(num_outputs=2), "its tables take"),
        (lambda p: p.strings.extend(b"x"), "the last string has no end"),
        (record("scalars", 0, 0, 8), "scalar 0: unknown symbol 8"),
        (record("scalars", 0, 1, 1), "scalar 0: reserved"),
        (record("scalars", 0, 4, 0), "scalar 0: divisor 0"),
        (header(split_tokens=12), "split_tokens is 12, no multiple of page_tokens, 8"),
        (header(max_partials=2**31 - 1), "max_partials is 2147483647"),
        (record("scalars", 0, 4, -1), "scalar 0: divisor -1"),
        (record("scalars", 0, 2, HUGE), "scalar 0: overflows"),
        (record("scalars", 0, 3, 2**63 - 1), "scalar 0: overflows"),
        (record("scalars", 0, 2, -(2**63)), "scalar 0: overflows"),
        (buffer(ARENA, 0, 4), "unknown kind 4"),
        (buffer(ARENA, 1, 1), "there is one arena"),
        (buffer(ARENA, 2, 32), "no multiple of 64"),
        (buffer(ARENA, 2, HUGE), "outside its memory"),
        (buffer(ARENA, 3, HUGE), "outside its memory"),
        (buffer(ARENA, 3, 2**64 - 1), "outside its memory"),
        (buffer(WEIGHT, 1, 2), "no weight 2"),
        (buffer(WEIGHT, 2, 2**64 - 64), "outside its memory"),
        (buffer(WEIGHT, 3, 3201), "outside its memory"),
        (buffer(KV, 1, 1), "no kv region or input 1"),
        (buffer(KV, 2, 64), "begins at offset 0"),
        (record("buffers", 0, 1, 7), "no kv region or input 7"),
        (record("weights", 0, 0, 10**6), "weight 0: its name"),
        (record("weights", 0, 1, 1), "weight 0: reserved"),
        (record("weights", 1, 2, 3201), "weight 1: offset is no multiple"),
        (record("weights", 1, 2, 2**64 - 64), "weight 1: lies outside"),
        (record("weights", 1, 3, 2**64 - 1), "weight 1: lies outside"),
        (record("weights", 1, 3, 3201), "weight 1: lies outside"),
        (record("kv", 0, 0, 2**32 - 1), "kv region 0: its name"),
        (record("kv", 0, 1, 1), "kv region 0: reserved"),
        (record("kv", 0, 2, 0), "0 bytes a page"),
        (record("kv", 0, 2, HUGE), "bytes a page"),
        (record("kernels", 0, 0, 10**6), "kernel 0: its name"),
        (record("kernels", 0, 1, 257), "kernel 0: more than"),
        (record("kernels", 0, 3, 1), "kernel 0: reserved"),
        (record("steps", 0, 0, 99), "step 0: no kernel 99"),
        (record("steps", 0, 1, 2**32 - 1), "step 0: its arguments"),
        (record("steps", 5, 1, 25), "step 5: its arguments"),
        (record("steps", 0, 2, 99), "step 0: no scalar 99"),
        (record("steps", 0, 3, 0), "step 0: grain 0"),
        (record("steps", 0, 4, 10**6), "step 0: its name"),
        (record("steps", 0, 5, 1), "step 0: unknown flags"),
        (argument(0, 99), "step 0: argument 0"),
        (argument(5, 99), "step 1: argument 2"),
        (record("outputs", 0, 0, 10**6), "output 0: its name"),
        (record("outputs", 0, 0, 0), "output 0: unknown name"),
        (record("outputs", 0, 1, 99), "output 0: no buffer 99"),
        (record("outputs", 0, 1, 0), "does not lie in the arena"),
        (record("outputs", 0, 2, 99), "output 0: no scalar 99"),
        (record("outputs", 0, 3, 113), "rows do not fit"),
        (record("outputs", 0, 3, 2**32 - 1), "rows do not fit"),
        (record("outputs", 0, 4, 113), "113 columns in rows of 112"),
        (record("outputs", 0, 4, 0), "0 columns"),
        (record("outputs", 0, 5, 1), "wrong dtype"),
        (record("outputs", 0, 5, 2), "unknown dtype"),
        (lambda p: p.output("logits", p.outputs[0][1], 0, 1, 1), "named twice"),
    ],
)
def test_each_kind_of_damage_has_its_own_message(make_bundle: BundleMaker, damage: Damage, said: str) -> None:
    plan = tiny_model.plan()
    damage(plan)
    with pytest.raises(CorruptFile, match=said):
        Model(make_bundle(plan, tiny_model.weights_bytes()))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (header(version=3), "format version 3"),
        (lambda p: p.kernel("t_unknown", 0, 0), "asks for kernel t_unknown"),
        (record("kernels", 0, 1, 2), "kernel t_embed takes 3 buffers and 0 scalars; plan.bin passes 2 and 0"),
    ],
)
def test_a_plan_that_belongs_to_another_library_is_a_mismatch(
    make_bundle: BundleMaker, damage: Damage, said: str
) -> None:
    plan = tiny_model.plan()
    damage(plan)
    with pytest.raises(BundleMismatch, match=said):
        Model(make_bundle(plan, tiny_model.weights_bytes()))


def test_a_plan_cut_anywhere_is_refused(bundle: Path) -> None:
    whole = (bundle / "plan.bin").read_bytes()
    for size in [*range(0, 200), *range(200, len(whole), 8), len(whole) - 1]:
        (bundle / "plan.bin").write_bytes(whole[:size])
        with pytest.raises(CorruptFile):
            Model(bundle)
    (bundle / "plan.bin").write_bytes(whole + b"\0")
    with pytest.raises(CorruptFile, match="says it has"):
        Model(bundle)


@pytest.mark.parametrize("change", [-6400, -1, 1, 64])
def test_weights_of_the_wrong_size_are_refused(bundle: Path, change: int) -> None:
    data = (bundle / "weights.bin").read_bytes()
    (bundle / "weights.bin").write_bytes(data[:change] if change < 0 else data + bytes(change))
    for use_mmap in (False, True):
        with pytest.raises(CorruptFile, match=r"weights.bin has \d+ bytes, plan.bin expects 6400"):
            Model(bundle, use_mmap=use_mmap)


@pytest.mark.parametrize("name", ["plan.bin", "weights.bin"])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(StorageError, match=name):
        Model(bundle)
    (bundle / name).mkdir()
    with pytest.raises(StorageError, match="not a regular file"):
        Model(bundle)


def test_units_that_come_out_negative_are_refused_when_they_do(make_bundle: BundleMaker) -> None:
    plan = tiny_model.plan()
    plan.step(0, plan.args[:3], [], units=plan.scalar(1, 1, -3))
    with Session(Model(make_bundle(plan, tiny_model.weights_bytes())), num_pages=4, threads=1) as session:
        session.forward([1] * 3, [0, 1, 2], [0] * 3, [[0]])
        with pytest.raises(CorruptFile, match="step 6 would have -1 units"):
            session.forward([1] * 2, [0, 1], [0] * 2, [[0]])


def test_absurd_memory_is_refused_not_tried(make_bundle: BundleMaker) -> None:
    plan = tiny_model.plan()
    plan.arena_bytes = HUGE
    with (
        Model(make_bundle(plan, tiny_model.weights_bytes())) as model,
        pytest.raises(NotEnoughMemory, match="a session"),
    ):
        Session(model, num_pages=4, threads=1)
    plan = tiny_model.plan()
    plan.scratch_bytes = 2**64 - 1
    with (
        Model(make_bundle(plan, tiny_model.weights_bytes())) as model,
        pytest.raises(NotEnoughMemory),
    ):
        Session(model, num_pages=4, threads=2)


def interesting(rng: random.Random, old: int, bits: int) -> int:
    """A value that checks tend to forget: borders, and close neighbours of what stood there."""
    value = rng.choice([0, 1, old + 1, old - 1, old + 64, old * 2, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
    return value % 2**bits


def test_mutated_plans_never_crash(make_bundle: BundleMaker, inert_library: Path) -> None:
    """Either an error of Hearth's, or a plan that runs; with the sanitizer watching. tests/fuzz goes on from here."""
    folder = make_bundle(tiny_model.plan(), tiny_model.weights_bytes(), inert_library)
    whole = (folder / "plan.bin").read_bytes()
    run(folder)
    rng = random.Random(1)
    refused = 0
    for _ in range(3_000):
        plan = bytearray(whole)
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            width, code = rng.choice([(4, "<I"), (8, "<Q"), (1, "<B")])
            offset = rng.randrange(0, len(plan) - width + 1) // width * width
            old = struct.unpack_from(code, plan, offset)[0]
            struct.pack_into(code, plan, offset, interesting(rng, old, width * 8))
        (folder / "plan.bin").unlink()  # a file written over is flushed to the disk by some systems, a new one is not
        (folder / "plan.bin").write_bytes(plan)
        try:
            run(folder)
        except HearthError:
            refused += 1
    assert 1_000 < refused < 3_000
