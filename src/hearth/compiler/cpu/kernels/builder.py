"""Writes TensorIR kernels in plain Python: `with k.loop(0, n) as i: k.store(y, i, ...)`.

TVMScript parses source text and unrolls by statement; a generator of kernels (format x instruction set x rows) wants
ordinary Python functions, loops and conditions around the IR instead. This builder owns nothing but that: it collects
TensorIR statements and ends in a `PrimFunc` whose C signature is

    int32_t name(int64 begin, int64 end, T0 *b0, ..., int64 s0, ..., uint8 *scratch)

the plain kernel over units [begin, end) of docs/architecture.md. Indices are 64-bit; vectors are `lanes` wide and LLVM
splits them to what the processor has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tvm
from tvm import ir, tirx
from tvm.tirx import stmt as tir

from hearth.compiler.physical import in_name as in_name

LLVM_OPTIONS = "hearth.llvm_options"
LLVM_FEATURES = "hearth.llvm_features"
"""Attribute of a PrimFunc: options that its machine code is made with."""

Expr = Any  # a TVM PrimExpr, or a Python number where TVM converts it


def i64(value: int | Expr) -> Expr:
    return tirx.IntImm("int64", value) if isinstance(value, int) else value


def vec(dtype: str, lanes: int) -> str:
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def lanes_of(value: Expr) -> int:
    return int(tvm.DataType(str(value.ty.dtype if hasattr(value.ty, "dtype") else value.ty)).lanes)


def broadcast(value: Expr, lanes: int) -> Expr:
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


def load_pieces(width: int) -> list[tuple[int, int]]:
    """(first, lanes) of vectors that make up `width` elements exactly: 16 lanes each, then 8, 4, 2, 1 of what is left.

    For rows whose neighbours belong to somebody else: columns of another head, of another thread.
    """
    pieces, at = [], 0
    while at < width:
        lanes = min(16, 1 << ((width - at).bit_length() - 1))
        pieces.append((at, lanes))
        at += lanes
    return pieces


def const(dtype: str, value: float | int, lanes: int = 1) -> Expr:
    return broadcast(tirx.const(value, dtype), lanes)


def f32(value: float, lanes: int = 1) -> Expr:
    return const("float32", value, lanes)


def cast(dtype: str, value: Expr, lanes: int = 1) -> Expr:
    return tirx.Cast(vec(dtype, lanes), value)


def bitcast(dtype: str, value: Expr, lanes: int = 1) -> Expr:
    return tirx.reinterpret(vec(dtype, lanes), value)


def llvm(name: str, dtype: str, *args: Expr) -> Expr:
    """Call of a side-effect-free LLVM intrinsic, e.g. `llvm("llvm.rint", "float32x16", x)`."""
    return tirx.call_llvm_pure_intrin(dtype, name, *args)


def fma(a: Expr, b: Expr, c: Expr, lanes: int) -> Expr:
    """a * b + c: fused where the processor can, in two steps (and not by a function call for each lane) where not."""
    return llvm("llvm.fmuladd", vec("float32", lanes), a, b, c)


def _sequence(statements: Sequence[Any]) -> Any:
    return statements[0] if len(statements) == 1 else tir.SeqStmt(statements)


class Memory:
    """A typed pointer: a buffer argument, scratch, or a view of either at another element type."""

    def __init__(self, buffer: Any, dtype: str, pointer: Any) -> None:
        self.buffer = buffer
        self.dtype = dtype
        self.pointer = pointer

    def load(self, index: Expr, lanes: int = 1) -> Expr:
        index = i64(index)
        return tirx.BufferLoad(self.buffer, [index if lanes == 1 else tirx.Ramp(index, i64(1), lanes)])


class Register:
    """A variable that loops may update: one element or one vector in a local buffer that LLVM promotes to a
    register."""

    def __init__(self, kernel: Kernel, dtype: str, lanes: int) -> None:
        self.kernel, self.dtype, self.lanes = kernel, dtype, lanes
        self.buffer = tirx.decl_buffer((lanes,), dtype, name=kernel.fresh("r"), scope="local")
        kernel.emit(tir.AllocBuffer(self.buffer))

    @property
    def _index(self) -> Expr:
        return i64(0) if self.lanes == 1 else tirx.Ramp(i64(0), i64(1), self.lanes)

    def get(self) -> Expr:
        return tirx.BufferLoad(self.buffer, [self._index])

    def set(self, value: Expr) -> None:
        self.kernel.emit(tir.BufferStore(self.buffer, value, [self._index]))

    def lane(self, i: int) -> Expr:
        return tirx.BufferLoad(self.buffer, [i64(i)])


class Kernel:
    """Collects the statements of one kernel. Declare buffers first, then scalars, then write the body, then
    `finish()`."""

    def __init__(self, name: str, *, reload_constants: bool = False) -> None:
        """
        Args:
            reload_constants: they are read from memory wherever they are used, for kernels whose inner loop needs every
                register: LLVM would hold those of an activation function across it, and spill the sums instead.
        """
        self.name = name
        self._reload_constants = reload_constants
        self._features: set[str] = set()
        self._count = 0
        self._blocks: list[list[Any]] = [[]]
        self.begin = tirx.Var("begin", "int64")
        self.end = tirx.Var("end", "int64")
        self._buffers: list[Any] = []
        self._scalars: list[Any] = []
        self._scratch = tirx.Var("scratch", ir.PointerType(ir.PrimType("uint8")))

    @property
    def num_buffers(self) -> int:
        return len(self._buffers)

    @property
    def num_scalars(self) -> int:
        return len(self._scalars)

    def fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def emit(self, stmt: Any) -> None:
        self._blocks[-1].append(stmt)

    def use(self, feature: str) -> None:
        """Lets LLVM use a feature in this kernel, beside those of the whole instruction set: one that it would use in
        other kernels to their harm."""
        self._features.add(feature)

    # -- arguments
    def buffer(self, name: str, dtype: str) -> Memory:
        pointer = tirx.Var(name, ir.PointerType(ir.PrimType(dtype)))
        self._buffers.append(pointer)
        return self._declare(name, dtype, pointer)

    def scalar(self, name: str) -> Expr:
        var = tirx.Var(name, "int64")
        self._scalars.append(var)
        return var

    def scratch(self, dtype: str) -> Memory:
        """This thread's scratch memory seen as elements of `dtype` (64-byte aligned)."""
        return self._declare(self.fresh("scratch_view"), dtype, self._scratch)

    def view(self, memory: Memory, dtype: str) -> Memory:
        """The same memory read as another element type; indices count the new elements."""
        return self._declare(self.fresh("view"), dtype, memory.pointer)

    def _declare(self, name: str, dtype: str, pointer: Any) -> Memory:
        buffer = tirx.decl_buffer((i64(1),), dtype, name=name)
        self.emit(tir.DeclBuffer(buffer, data=pointer))
        return Memory(buffer, dtype, pointer)

    # -- statements
    def let(self, value: Expr, name: str = "v") -> Expr:
        """Names a value, so that it is computed once."""
        var = tirx.Var(self.fresh(name), value.ty)
        self.emit(tir.Bind(var, value))
        return var

    def opaque(self, value: Expr, name: str = "v") -> Expr:
        """A named scalar that TVM does not look into: it follows definitions of names through every index made of them,
        which for long chains of sizes and offsets takes minutes, and cannot bound a `max` of floats."""
        return self.let(self.register(str(value.ty.dtype), init=value).get(), name)

    def store(self, memory: Memory, index: Expr, value: Expr) -> None:
        lanes = lanes_of(value)
        index = i64(index)
        self.emit(tir.BufferStore(memory.buffer, value, [index if lanes == 1 else tirx.Ramp(index, i64(1), lanes)]))

    def prefetch(self, memory: Memory, index: Expr, level: int = 1) -> None:
        """Asks for the cache line of an element that will be read soon; any address will do, it is not read.

        Args:
            level: cache to bring it to. Requests to the second pass by the few that the first can wait for.
        """
        zero, near, data = (const("int32", number) for number in (0, 4 - level, 1))
        line = tirx.address_of(memory.load(index))
        self.emit(tir.Evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", line, zero, near, data)))

    def register(self, dtype: str, lanes: int = 1, init: Expr | None = None) -> Register:
        register = Register(self, dtype, lanes)
        if init is not None:
            register.set(init)
        return register

    @contextmanager
    def loop(self, begin: Expr, end: Expr, step: int = 1) -> Iterator[Expr]:
        """`for i in range(begin, end, step)`, `end - begin` being any non-negative number."""
        var = tirx.Var(self.fresh("i"), "int64")
        self._blocks.append([])
        yield var
        body = _sequence(self._blocks.pop())
        self.emit(
            tir.For(
                var, i64(begin), i64(end) - i64(begin), tir.ForKind.SERIAL, body, step=None if step == 1 else i64(step)
            )
        )

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        self._blocks.append([])
        yield
        self.emit(tir.IfThenElse(condition, _sequence(self._blocks.pop()), None))

    def finish(self, symbol: str = "") -> Any:
        """The PrimFunc, as the C function `symbol` (the kernel's name by default); it returns 0."""
        body = _sequence([*self._blocks.pop(), tirx.Return(tirx.IntImm("int32", 0))])
        params: Sequence[Any] = [self.begin, self.end, *self._buffers, *self._scalars, self._scratch]
        func = tirx.PrimFunc(params, body, ir.PrimType("int32"))
        attributes = {"global_symbol": symbol or self.name, "tirx.noalias": True, "tirx.is_scheduled": True}
        if self._reload_constants:
            attributes[LLVM_OPTIONS] = ["-disable-machine-licm"]
        if self._features:
            attributes[LLVM_FEATURES] = sorted(self._features)
        return func.with_attr(attributes)
