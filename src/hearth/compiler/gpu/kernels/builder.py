"""Writes GPU kernels in plain Python, as `compiler/cpu/kernels/builder.py` does those of CPUs: it collects TensorIR
statements and ends in a `PrimFunc` of one workgroup, which `compiler/gpu/wgsl.py` makes WGSL of.

    k = GpuKernel("double", threads=64)
    x, y = k.buffer("x", "float32"), k.buffer("y", "float32")
    n = k.scalar("n")
    i = k.let(k.group * 64 + k.thread)
    with k.when(i < n):
        k.store(y, i, x.load(i) * 2.0)

Indices are 32-bit. Elements may be vectors of 2 or 4 (`float32x4`): a buffer of such is indexed by the vector. Anything
that WGSL has as a function is reached by `builtin`. What a kernel reads it may not write: buffers that are only loaded
from are bound read-only.

Control flow around `barrier` must be uniform: conditions and bounds made of `k.group`, scalars, constants and what is
loaded by such an index from a buffer that is only read are; those made of `k.thread`, of registers or of anything else
that was loaded are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tvm import ir, tirx
from tvm.tirx import stmt as tir

from hearth.compiler.gpu.features import CORE, MAX_INVOCATIONS, MAX_STORAGE_BUFFERS, MAX_WORKGROUP_BYTES, Features

Expr = Any  # a TVM PrimExpr, or a Python number where TVM converts it

_BYTES = {"float32": 4, "int32": 4, "uint32": 4, "float16": 2}


def i32(value: int | Expr) -> Expr:
    return tirx.IntImm("int32", value) if isinstance(value, int) else value


def u32(value: int) -> Expr:
    return tirx.IntImm("uint32", value)


def f32(value: float, lanes: int = 1) -> Expr:
    number = tirx.FloatImm("float32", value)
    return number if lanes == 1 else tirx.Broadcast(number, lanes)


def vec(dtype: str, lanes: int) -> str:
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def cast(dtype: str, value: Expr, lanes: int = 1) -> Expr:
    return tirx.Cast(vec(dtype, lanes), value)


def bitcast(dtype: str, value: Expr, lanes: int = 1) -> Expr:
    return tirx.reinterpret(vec(dtype, lanes), value)


def div(a: Expr, b: Expr) -> Expr:
    """a / b rounded down, of whole numbers that are not below 0."""
    if isinstance(b, int) and b.bit_count() == 1:  # drivers cannot know that none is below 0
        return tirx.shift_right(i32(a), i32(b.bit_length() - 1)) if b > 1 else a
    return tirx.truncdiv(a, i32(b))


def mod(a: Expr, b: Expr) -> Expr:
    """What `div` leaves."""
    if isinstance(b, int) and b.bit_count() == 1:
        return tirx.bitwise_and(i32(a), i32(b - 1))
    return tirx.truncmod(a, i32(b))


def builtin(name: str, dtype: str, *args: Expr) -> Expr:
    """Call of a WGSL function without side effects, e.g. `builtin("unpack2x16float", "float32x2", word)`."""
    return tirx.call_pure_extern(dtype, name, *args)


def lane(vector: Expr, index: int) -> Expr:
    """One element of a vector (of a name or a load: the expression is written once for each use)."""
    return tirx.Shuffle([vector], [index])


def splat(value: Expr, lanes: int = 4) -> Expr:
    """A vector of one number. Name the number first (`GpuKernel.let`): it is written `lanes` times."""
    return tirx.Broadcast(value, lanes)


def vector(*elements: Expr) -> Expr:
    """A vector of numbers."""
    return tirx.Shuffle(list(elements), list(range(len(elements))))


def fma(a: Expr, b: Expr, c: Expr, lanes: int = 1) -> Expr:
    return builtin("fma", vec("float32", lanes), a, b, c)


def dot(a: Expr, b: Expr) -> Expr:
    """Dot product of two `float32x4`."""
    return builtin("dot", "float32", a, b)


def unpack_halves(word: Expr) -> Expr:
    """The two f16 numbers of a 32-bit word as `float32x2`, the lower half first. Needs no f16 of the adapter."""
    return builtin("unpack2x16float", "float32x2", word)


def pack_halves(pair: Expr) -> Expr:
    """`float32x2` rounded to two f16 numbers in a word."""
    return builtin("pack2x16float", "uint32", pair)


def _sequence(statements: Sequence[Any]) -> Any:
    return statements[0] if len(statements) == 1 else tir.SeqStmt(list(statements))


class Memory:
    """A buffer argument, workgroup memory, or an array of an invocation's own."""

    def __init__(self, buffer: Any, dtype: str) -> None:
        self.buffer, self.dtype = buffer, dtype

    def load(self, index: Expr) -> Expr:
        return tirx.BufferLoad(self.buffer, [i32(index)])


class Register:
    """A variable of an invocation that loops may update."""

    def __init__(self, kernel: GpuKernel, memory: Memory, index: int = 0) -> None:
        self._kernel, self._memory, self._index = kernel, memory, index

    def get(self) -> Expr:
        return self._memory.load(self._index)

    def set(self, value: Expr) -> None:
        self._kernel.store(self._memory, self._index, value)


class GpuKernel:
    """Collects the statements of one kernel. Declare buffers first, then scalars, then write the body.

    Attributes:
        thread: index of the invocation in its workgroup, int32, uniform in nothing.
        group: index of the workgroup, int32, from 0 to units - 1.
        units: how many workgroups there are.
    """

    def __init__(self, name: str, *, threads: int, features: Features = CORE) -> None:
        """
        Args:
            name: of the kernel, which is its entry point too.
            threads: invocations of a workgroup.
            features: what the shader needs of its adapter.
        """
        assert threads <= MAX_INVOCATIONS
        self.name, self.threads, self.features = name, threads, features
        self._count = 0
        self._workgroup_bytes = 0
        self._blocks: list[list[Any]] = [[]]
        self._buffers: list[Any] = []
        self._scalars: list[Any] = []
        self.thread = tirx.Var("thread", "int32")
        self.group = tirx.Var("group", "int32")
        self.units = tirx.Var("units", "int32")

    @property
    def num_buffers(self) -> int:
        return len(self._buffers)

    @property
    def num_scalars(self) -> int:
        return len(self._scalars)

    def fresh(self, stem: str) -> str:
        """A name of its own, which is none of WGSL's types, as i32 and vec4 are."""
        self._count += 1
        return f"{stem}_{self._count}"

    def emit(self, stmt: Any) -> None:
        self._blocks[-1].append(stmt)

    # -- arguments and memory
    def buffer(self, name: str, dtype: str) -> Memory:
        """The next buffer argument. Elements: `float32`, `int32`, `uint32`, `float16` or vectors of 2 or 4 of them."""
        pointer = tirx.Var(name, ir.PointerType(ir.PrimType(dtype), "global"))
        self._buffers.append(pointer)
        assert len(self._buffers) <= MAX_STORAGE_BUFFERS, self.name
        declared = tirx.decl_buffer((i32(1),), dtype, name=name)
        self.emit(tir.DeclBuffer(declared, data=pointer))
        return Memory(declared, dtype)

    def scalar(self, name: str) -> Expr:
        """The next scalar argument, int32."""
        var = tirx.Var(name, "int32")
        self._scalars.append(var)
        return var

    def workgroup(self, size: int, dtype: str, name: str = "shared") -> Memory:
        """Memory that the invocations of a workgroup share: `size` elements."""
        base, _, lanes = dtype.partition("x")
        self._workgroup_bytes += size * _BYTES[base] * int(lanes or 1)
        assert self._workgroup_bytes <= MAX_WORKGROUP_BYTES, self.name
        buffer = tirx.decl_buffer((i32(size),), dtype, name=self.fresh(name), scope="shared")
        self.emit(tir.AllocBuffer(buffer))
        return Memory(buffer, dtype)

    def local(self, size: int, dtype: str = "float32", name: str = "local") -> Memory:
        """An array of the invocation's own; index it by constants, so that it lies in registers."""
        buffer = tirx.decl_buffer((i32(size),), dtype, name=self.fresh(name), scope="local")
        self.emit(tir.AllocBuffer(buffer))
        return Memory(buffer, dtype)

    def register(self, dtype: str = "float32", init: Expr | None = None) -> Register:
        register = Register(self, self.local(1, dtype, "r"))
        if init is not None:
            register.set(init)
        return register

    # -- statements
    def let(self, value: Expr, name: str = "v") -> Expr:
        """Names a value, so that it is computed once."""
        var = tirx.Var(self.fresh(name), value.ty)
        self.emit(tir.Bind(var, value))
        return var

    def store(self, memory: Memory, index: Expr, value: Expr) -> None:
        self.emit(tir.BufferStore(memory.buffer, value, [i32(index)]))

    def barrier(self) -> None:
        """Until all invocations of the workgroup are here; what they wrote to its memory can be read then."""
        self.emit(tir.Evaluate(tirx.call_intrin("void", "tirx.tvm_storage_sync", "shared")))

    @contextmanager
    def loop(self, begin: Expr, end: Expr, step: Expr = 1) -> Iterator[Expr]:
        """`for i in range(begin, end, step)`."""
        var = tirx.Var(self.fresh("i"), "int32")
        self._blocks.append([])
        yield var
        body = _sequence(self._blocks.pop())
        step = None if isinstance(step, int) and step == 1 else i32(step)
        self.emit(tir.For(var, i32(begin), i32(end) - i32(begin), tir.ForKind.SERIAL, body, step=step))

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        self._blocks.append([])
        yield
        self.emit(tir.IfThenElse(condition, _sequence(self._blocks.pop()), None))

    def finish(self) -> Any:
        """The PrimFunc: one workgroup, launched over `units` of them."""
        (statements,) = self._blocks
        body = _sequence(statements)
        for var, tag, extent in (
            (self.thread, "threadIdx.x", i32(self.threads)),
            (self.group, "blockIdx.x", self.units),
        ):
            axis = tirx.IterVar((i32(0), extent), var, tirx.IterVar.ThreadIndex, tag)
            body = tir.AttrStmt(axis, "thread_extent", extent, body)
        function = tirx.PrimFunc([*self._buffers, *self._scalars, self.units], body)
        return function.with_attr({"global_symbol": self.name, "tirx.noalias": True})
