"""A damaged or hand-made plan.bin or weights.bin is refused with an error that names what is wrong."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import plan_writer as pw
from tests.runtime import tiny_functions, tiny_model
from tests.runtime.conftest import CACHE, BundleMaker, compile_kernels
from tests.runtime.plan_writer import ARENA, HEADER_FIELDS, INPUT, STATE, WEIGHT, PlanWriter, TextPlan

from hearth.compiler.cpu.link import library_name, link_library
from hearth.errors import BundleMismatch, CorruptFile, HearthError, NotEnoughMemory, StorageError
from hearth.runtime import Model, TextSession

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
    with Model(folder, memory_limit_bytes=1 << 30) as model, TextSession(model, num_pages=4, threads=2) as session:
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


def symbol(name: str, position: int, value: int) -> Damage:
    """Damages a symbol of the plan, and keeps what says the same of it in the scalars."""

    def change(p: PlanWriter) -> None:
        scalar = p.named[name]
        record("symbols", p.scalars[scalar][1], position, value)(p)
        record("scalars", scalar, position + 3, value)(p)

    return change


def scalar(op: int, position: int, value: int) -> Damage:
    """Damages the first scalar with that operation."""
    return lambda p: record("scalars", next(i for i, s in enumerate(p.scalars) if s[0] == op), position, value)(p)


def again(table: str) -> Damage:
    """The second record gets the name of the first."""
    return lambda p: record(table, 1, 0, getattr(p, table)[0][0])(p)


def named(table: str, text: str | bytes) -> Damage:
    return lambda p: record(table, 0, 0, p.string(text))(p)


def overflowing(p: PlanWriter) -> None:
    big = p.constant(2**62)
    p.scalars.append((pw.ADD, big, big, 0, 0, 0, 0))


def of_another_function(p: PlanWriter) -> None:
    """The second function's step reads the first one's input."""
    p.args[p.steps[1][1]] = index_of(p, INPUT)


def second_arena(p: PlanWriter) -> None:
    """There is room for the first buffer in an arena of its own."""
    p.arena_bytes += p.buffers[index_of(p, ARENA)][3]
    buffer(ARENA, 1, 1)(p)


def cut(
    *, function: int = 0, step: int = 1, kind: int = ARENA, rows: int = 0, columns: int = 1, zero: int = 0
) -> Damage:
    """A cut of the first function, sound but for what is said."""
    return lambda p: p.cuts.append((function, step, index_of(p, kind), rows, columns, zero))


def cuts(*steps: int) -> Damage:
    def damage(p: PlanWriter) -> None:
        for step in steps:
            cut(step=step)(p)

    return damage


BATCH, SIDE = 0, 1  # scalars of the plan of functions


# Each in the plan of functions, which has a bit of everything.
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut(function=9), "cut 0: wrong function"),
        (cut(step=1000), "cut 0: wrong step"),
        (cuts(1, 1), "cut 1: wrong step"),
        (cut(kind=WEIGHT), "cut 0: no buffer of an arena"),
        (lambda p: p.cuts.append((0, 1, 999, 0, 1, 0)), "cut 0: no buffer of an arena"),
        (cut(rows=9999), "cut 0: no such scalar"),
        (cut(columns=2**32 - 1), "cut 0: does not fit its buffer"),
        (cut(zero=1), "cut 0: reserved field"),
        (header(magic=b"HRTHPLAM"), "does not begin with HRTHPLAN"),
        (header(header_size=200), "header_size is 200"),
        (header(file_size=10), "says it has 10 bytes"),
        (header(zeros=bytes(23) + b"x"), "reserved header bytes"),
        *(
            (header(**{name: 1000}), "its tables take")
            for name, _ in HEADER_FIELDS
            if name.startswith("num_") and name not in ("num_symbols", "num_functions")
        ),
        *((header(**{name: 2**32 - 1}), "its tables take") for name, _ in HEADER_FIELDS if name.startswith("num_st")),
        (header(num_symbols=65), "65 symbols, must be at most 64"),
        (header(num_symbols=64), "its tables take"),
        (header(num_functions=0), "0 functions, must be 1 to 256"),
        (header(num_functions=257), "257 functions, must be 1 to 256"),
        (header(num_functions=256), "its tables take"),
        (lambda p: p.strings.extend(b"x"), "the last string has no end"),
        *(
            (lambda p, text=text: p.string(text), "its strings are no UTF-8 at byte")
            for text in (
                b"\xff",
                b"\x80",
                b"\xc3",
                b"\xc0\x80",
                b"\xe0\x80\x80",
                b"\xed\xa0\x80",
                b"\xf0\x80\x80\x80",
                b"\xf4\x90\x80\x80",
                b"\xf5\x80\x80\x80",
                b"\xe2\x82",
                b"\xe2\x82x",
            )
        ),
        (record("symbols", 0, 0, 10**6), "symbol 0: its name lies outside"),
        (named("symbols", ""), "symbol 0: its name must have 1 to 255 bytes"),
        (named("symbols", "x" * 256), "symbol 0: its name must have 1 to 255 bytes"),
        (record("symbols", 0, 1, 1), "symbol 0: reserved"),
        (symbol("batch", 2, -1), "symbol 0: bounds -1 to 4, must lie in 0 to 2147483647"),
        (symbol("batch", 2, 5), "symbol 0: bounds 5 to 4"),
        (symbol("batch", 3, BIG), "symbol 0: bounds 1 to 2147483648"),
        (again("symbols"), "symbol batch: named twice"),
        (record("scalars", 0, 0, 7), "scalar 0: unknown operation 7"),
        (record("scalars", 0, 1, 6), "scalar 0: no symbol 6"),
        (record("scalars", 0, 2, 1), "scalar 0: a field that is not used"),
        (record("scalars", 0, 3, 1), "scalar 0: a field that is not used"),
        (record("scalars", 0, 4, 1), "scalar 0: a field that is not used"),
        (scalar(pw.CONSTANT, 1, 1), "a field that is not used"),
        (scalar(pw.CONSTANT, 2, 1), "a field that is not used"),
        (scalar(pw.CONSTANT, 4, 9), "says it lies in 1 to 1, it lies in 9 to 9"),
        (scalar(pw.ADD, 3, 1), "a field that is not used"),
        (scalar(pw.ADD, 4, 1), "a field that is not used"),
        (scalar(pw.ADD, 1, 10**6), "its operands must be earlier"),
        (scalar(pw.ADD, 2, 2**32 - 1), "its operands must be earlier"),
        (lambda p: record("scalars", 10, 2, 10)(p), "scalar 10: its operands must be earlier"),
        *((record("scalars", 0, at, 2), "scalar 0: says it lies in") for at in (5, 6)),
        *((scalar(op, at, 77), "says it lies in") for op in range(2, 7) for at in (5, 6)),
        (lambda p: p.scalars.append((pw.FLOOR_DIVIDE, 0, p.constant(0), 0, 0, 0, 0)), "its divisor may be 0"),
        (lambda p: p.scalars.append((pw.FLOOR_DIVIDE, 0, p.constant(-3), 0, 0, 0, 0)), "its divisor may be -3"),
        (overflowing, "overflows 64 bits"),
        (lambda p: p.scalars.append((pw.MULTIPLY, SIDE, p.constant(HUGE), 0, 0, 0, 0)), "overflows 64 bits"),
        (lambda p: p.scalars.append((pw.ADD, BATCH, p.constant(2**63 - 2), 0, 0, 0, 0)), "overflows 64 bits"),
        (record("weights", 0, 0, 10**6), "weight 0: its name"),
        (record("weights", 0, 1, 1), "weight 0: reserved"),
        (record("weights", 0, 2, 1), "weight 0: offset is no multiple"),
        (record("weights", 0, 2, 2**64 - 64), "weight 0: lies outside"),
        (record("weights", 0, 3, 2**64 - 1), "weight 0: lies outside"),
        (record("weights", 0, 3, 65), "weight 0: lies outside"),
        (record("states", 0, 0, 2**32 - 1), "state 0: its name lies outside"),
        (named("states", ""), "state 0: its name must have"),
        (record("states", 0, 1, 6), "state 0: no symbol 6"),
        (record("states", 0, 2, 0), "0 bytes a unit"),
        (record("states", 0, 2, 2**32), "4294967296 bytes a unit"),
        (buffer(ARENA, 0, 4), "unknown kind 4"),
        (buffer(ARENA, 1, 8), "no arena 8"),
        (buffer(ARENA, 1, 7), "arena 7: more than arena_bytes says"),
        (second_arena, "plans for processors have no arena 1"),
        (buffer(ARENA, 2, 32), "no multiple of 64"),
        (buffer(ARENA, 2, HUGE), "outside its memory"),
        (buffer(ARENA, 3, HUGE), "outside its memory"),
        (buffer(ARENA, 3, 2**64 - 1), "outside its memory"),
        (buffer(WEIGHT, 1, 1), "no weight 1"),
        (buffer(WEIGHT, 2, 2**64 - 64), "outside its memory"),
        (buffer(WEIGHT, 3, 33), "outside its memory"),
        (buffer(STATE, 1, 1), "no state 1"),
        (buffer(STATE, 2, 64), "a state or input is given as a whole"),
        (buffer(STATE, 3, 1), "a state or input is given as a whole"),
        (buffer(INPUT, 1, 8), "no input 8"),
        (buffer(INPUT, 2, 64), "a state or input is given as a whole"),
        (buffer(INPUT, 3, 1), "a state or input is given as a whole"),
        (record("kernels", 0, 0, 10**6), "kernel 0: its name"),
        (record("kernels", 0, 1, 257), "kernel 0: more than"),
        (record("kernels", 0, 2, 257), "kernel 0: more than"),
        (record("kernels", 0, 3, 1), "kernel 0: reserved"),
        (record("steps", 0, 0, 99), "step 0: no kernel 99"),
        (record("steps", 0, 1, 2**32 - 1), "step 0: its arguments"),
        (record("steps", 5, 1, 30), "step 5: its arguments"),
        (record("steps", 0, 2, 99), "step 0: no scalar 99"),
        (record("steps", 0, 3, 0), "step 0: grain 0"),
        (record("steps", 0, 3, BIG), "step 0: grain 2147483648"),
        (record("steps", 0, 4, 10**6), "step 0: its name"),
        (record("steps", 0, 5, 1), "step 0: unknown flags"),
        (argument(0, 99), "step 0: argument 0"),
        (argument(3, 99), "step 0: argument 3"),
        (record("inputs", 0, 0, 10**6), "input 0: its name lies outside"),
        (named("inputs", ""), "input 0: its name must have"),
        (record("inputs", 0, 1, 5), "input 0: unknown dtype 5"),
        (record("inputs", 0, 2, 99), "input 0: its axes lie outside"),
        (record("inputs", 7, 3, 8), "input 7: its axes lie outside"),
        (record("inputs", 0, 3, 9), "input 0: 9 axes, must be 0 to 8"),
        (record("inputs", 0, 4, 4), "input 0: unknown checks 4"),
        (record("inputs", 1, 4, 3), "input 1: only bytes are lent"),
        (record("inputs", 0, 5, 1), "input 0: bounds without checks"),
        (record("inputs", 0, 6, 1), "input 0: bounds without checks"),
        (record("inputs", 0, 7, 1), "input 0: reserved"),
        (record("inputs", 1, 4, 1), "input 1: only whole numbers are checked"),
        (record("inputs", 2, 5, 99), "input 2: its bounds are no scalars"),
        (record("inputs", 2, 6, 99), "input 2: its bounds are no scalars"),
        (lambda p: p.dims.__setitem__(1, 99), "input 0: axis 1: no scalar 99"),
        (lambda p: p.dims.__setitem__(1, p.constant(-1)), "input 0: axis 1 may be -1"),
        (record("outputs", 0, 0, 10**6), "output 0: its name lies outside"),
        (named("outputs", ""), "output 0: its name must have"),
        (record("outputs", 0, 1, 99), "output 0: no buffer 99"),
        (record("outputs", 0, 1, 0), "does not lie in the arena"),
        (record("outputs", 0, 2, 5), "output 0: unknown dtype 5"),
        (record("outputs", 0, 3, 99), "output 0: its axes lie outside"),
        (record("outputs", 0, 4, 9), "output 0: 9 axes"),
        (record("outputs", 0, 5, 99), "output 0: no scalar 99"),
        (lambda p: record("outputs", 0, 5, p.constant(17))(p), "output 0: does not fit its buffer"),
        (lambda p: record("outputs", 0, 5, p.constant(-1))(p), "output 0: does not fit its buffer"),
        (lambda p: record("outputs", 0, 5, p.constant(HUGE))(p), "output 0: does not fit its buffer"),
        (lambda p: p.dims.__setitem__(p.outputs[0][3], p.constant(5)), "output 0: does not fit its buffer"),
        (lambda p: p.dims.__setitem__(p.outputs[2][3], p.constant(17)), "output 2: does not fit its buffer"),
        (record("functions", 0, 0, 10**6), "function 0: its name lies outside"),
        (named("functions", ""), "function 0: its name must have"),
        (record("functions", 0, 1, 10**6), "door of function 0: its name lies outside"),
        (record("functions", 0, 2, 1), "function 0: wrong steps"),
        (record("functions", 0, 3, 2), "function 1: wrong steps"),
        (record("functions", 0, 3, 2**32 - 1), "function 0: wrong steps"),
        (record("functions", 5, 3, 0), "steps, inputs or outputs that no function has"),
        (record("functions", 1, 4, 0), "function 1: wrong inputs"),
        (record("functions", 1, 5, 257), "function 1: more than 256 inputs"),
        (record("functions", 5, 5, 2), "function 5: wrong inputs"),
        (record("functions", 3, 5, 0), "function 4: wrong inputs|that no function has"),
        (record("functions", 1, 6, 0), "function 1: wrong outputs"),
        (record("functions", 5, 7, 2), "function 5: wrong outputs"),
        (record("functions", 5, 7, 0), "steps, inputs or outputs that no function has"),
        (again("functions"), "function pool: named twice"),
        (lambda p: record("inputs", 2, 0, p.inputs[1][0])(p), "function dots: input hidden: named twice"),
        (lambda p: p.output("pooled", 2, [0]), "function lent: output pooled: named twice"),
        (of_another_function, "function dots: step 1 uses an input of another function"),
        (lambda p: p.args.__setitem__(3, p.named["n"]), "function pool: no input gives symbol n"),
        (lambda p: record("steps", 0, 2, p.named["rows"])(p), "function pool: no input gives symbol rows"),
        (lambda p: record("inputs", 2, 6, p.named["side"])(p), "function dots: no input gives symbol side"),
        (lambda p: p.dims.__setitem__(p.outputs[1][3], p.named["side"]), "function dots: no input gives symbol side"),
        (lambda p: p.dims.__setitem__(1, p.plus(p.named["side"], 0)), "function pool: no input gives symbol side"),
    ],
)
def test_each_kind_of_damage_has_its_own_message(make_bundle: BundleMaker, damage: Damage, said: str) -> None:
    plan = tiny_functions.plan()
    damage(plan)
    with pytest.raises(CorruptFile, match=said):
        Model(make_bundle(plan, tiny_functions.weights_bytes()))


def text_input(name: str, position: int, value: int) -> Damage:
    return lambda p: record("inputs", list(p.buffer).index(name), position, value)(p)  # type: ignore[attr-defined]


def axis(table: str, index: int, number: int, dim: Callable[[PlanWriter], int]) -> Damage:
    first = {"inputs": 2, "outputs": 3}[table]
    return lambda p: p.dims.__setitem__(getattr(p, table)[index][first] + number, dim(p))


def without_input(p: PlanWriter) -> None:
    """The last input of the text function is another function's."""
    record("functions", 0, 5, 6)(p)
    p.function("rest")
    at = (len(p.steps), 0, 6, 1, len(p.outputs), 0)
    p.functions[-1] = (*p.functions[-1][:2], *at)


def one_more_input(p: PlanWriter) -> None:
    p.input("more", [p.constant(1)])


def one_more_symbol(p: PlanWriter) -> None:
    p.symbol("more", 0, 9)
    record("steps", 0, 2, p.named["more"])(p)


# Each in the tiny language model's plan: what the door "text" asks of its function.
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        *((lambda p, name=name: record("symbols", p.scalars[p.named[name]][1], 0, p.string("other"))(p),
           f"there is no symbol {name}") for name in tuple(TextPlan().named)),
        *((symbol(name, 2, 0), f"symbol {name} may be 0, must be at least 1")
          for name in ("tokens", "sequences", "items", "block_table_stride", "pages")),
        *((symbol(name, 2, 1), f"symbol {name} may be 1, must be at least 0") for name in ("logit_rows", "merges")),
        *((symbol(name, 2, 1), f"symbol {name} lies in 1 to") for name in ("page_tokens", "tile_tokens")),
        (lambda p: (symbol("page_tokens", 2, 0)(p), symbol("page_tokens", 3, 0)(p)),
         "symbol page_tokens lies in 0 to 0"),
        (one_more_symbol, "nothing gives symbol more"),
        (lambda p: p.symbol("prompt_tokens", 1, 16), "symbol prompt_tokens may be 1, must be at least 0"),
        (lambda p: p.symbol("prompt_tokens", 0, 15), "prompt_tokens may be 15, tokens 16"),
        (lambda p: p.symbol("longest_tile", 1, 3), "longest_tile may be 3, tile_tokens 4"),
        (lambda p: p.symbol("hidden_tokens", 0, 3), "hidden_tokens may be 3, tokens 16"),
        (lambda p: p.symbol("likeliest_rows", 0, 3), "likeliest_rows may be 3, logit_rows 4"),
        (lambda p: p.symbol("in_parts", 0, 2), "in_parts may be 2, must be 0 or 1"),
        (record("states", 0, 1, 0), "state 0 is counted by tokens"),
        (lambda p: record("states", 0, 1, p.scalars[p.symbol("rooms", 1, 9)][1])(p),
         "no state whose units are counted by pages or slots"),
        *((text_input(name, 0, 1), f"there is no input {name}") for name in TextPlan().buffer),
        *((text_input(name, 1, pw.F32), f"input {name} has another type or shape")
          for name in ("token_seq", "items", "block_table", "logit_rows", "merges")),
        (text_input("token_seq", 3, 2), "input token_seq has another type or shape"),
        (text_input("items", 3, 1), "input items has another type or shape"),
        (axis("inputs", 0, 0, lambda p: p.named["pages"]), "input token_ids has another type or shape"),
        (axis("inputs", 0, 0, lambda p: p.plus(p.named["tokens"], 0)), "input token_ids has another type or shape"),
        (axis("inputs", 3, 1, lambda p: p.constant(7)), "input items has another type or shape"),
        (axis("inputs", 6, 1, lambda p: p.constant(8)), "input merges has another type or shape"),
        (axis("inputs", 4, 1, lambda p: p.named["pages"]), "input block_table has another type or shape"),
        (without_input, "there is no input merges"),
        (one_more_input, "text function: 8 inputs, must be 7"),
        *((text_input(name, 4, pw.ASCENDING), f"values of input {name} must lie in 0 to a constant")
          for name in ("token_ids", "positions")),
        (lambda p: text_input("token_ids", 5, p.constant(1))(p), "values of input token_ids must lie in"),
        (lambda p: text_input("token_ids", 6, p.constant(-1))(p), "values of input token_ids must lie in"),
        (lambda p: text_input("positions", 6, p.constant(2**31 - 1))(p), "values of input positions must lie in"),
        (lambda p: text_input("positions", 6, p.named["tokens"])(p), "values of input positions must lie in"),
        (lambda p: record("outputs", 0, 0, p.string("scores"))(p), "unknown output scores"),
        (record("outputs", 0, 2, pw.I32), "output logits has another type or shape"),
        (record("outputs", 1, 2, pw.F32), "output argmax has another type or shape"),
        (axis("outputs", 0, 0, lambda p: p.named["sequences"]), "output logits has another type or shape"),
        (axis("outputs", 0, 1, lambda p: p.constant(99)), "output logits has another type or shape"),
        (axis("outputs", 2, 1, lambda p: p.constant(9)), "output hidden has another type or shape"),
        (axis("outputs", 2, 1, lambda p: p.constant(0)), "output hidden has another type or shape"),
        (lambda p: record("outputs", 0, 5, p.named["sequences"])(p), "output logits has another type or shape"),
        (lambda p: (symbol("split_tokens", 2, 12)(p), symbol("split_tokens", 3, 12)(p)),
         "split_tokens is 12, no multiple of page_tokens, 8"),
        (symbol("items", 3, 23), "items may be 23, tokens and merges together 24"),
        (symbol("items", 3, 25), "items may be 25, tokens and merges together 24"),
        (symbol("block_table_stride", 3, 7), "block_table_stride is too small for position 63"),
    ],
)  # fmt: skip
def test_what_a_text_function_lacks_is_named(make_bundle: BundleMaker, damage: Damage, said: str) -> None:
    plan = tiny_model.plan()
    damage(plan)
    for i, (op, a, b, *_) in enumerate(plan.scalars):  # what depends on a symbol's bounds follows them
        if op > pw.SYMBOL:
            plan.scalars[i] = plan.scalars[plan.operation(op, a, b)]
            plan.scalars.pop()
    with pytest.raises(CorruptFile, match=said):
        Model(make_bundle(plan, tiny_model.weights_bytes()))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (header(version=3), "format version 3"),
        (header(version=5), "format version 5"),
        (lambda p: record("functions", 0, 1, p.string("audio"))(p), "function 0: .* its door, audio"),
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


def test_absurd_memory_is_refused_not_tried(make_bundle: BundleMaker) -> None:
    plan = tiny_model.plan()
    plan.arena_bytes = HUGE
    with (
        Model(make_bundle(plan, tiny_model.weights_bytes())) as model,
        pytest.raises(NotEnoughMemory, match="a session"),
    ):
        TextSession(model, num_pages=4, threads=1)
    plan = tiny_model.plan()
    plan.scratch_bytes = 2**64 - 1
    with (
        Model(make_bundle(plan, tiny_model.weights_bytes())) as model,
        pytest.raises(NotEnoughMemory),
    ):
        TextSession(model, num_pages=4, threads=2)


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
