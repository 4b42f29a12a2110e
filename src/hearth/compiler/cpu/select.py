"""Chooses the kernel of every operation: the last pass on the graph.

Afterwards `forward` is a line of calls `hearth.kernel(buffers..., units, grain, scalars...)`, each naming a PrimFunc
of the module; tensors have their physical shapes (docs/architecture.md, "Padded feature axes"). A matter of tables:
one method for each operation that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tvm import relax, tirx

from hearth.compiler.cpu.kernels.attention import AttentionSpec, attention, attention_merge, partial_width
from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.kernels.embedding import embedding
from hearth.compiler.cpu.kernels.gate import gate
from hearth.compiler.cpu.kernels.matmul import MatmulSpec, matmul
from hearth.compiler.cpu.kernels.norms import argmax, prepare, rms_norm
from hearth.compiler.cpu.kernels.peak import SCRATCH_BYTES, peak_float32, peak_int8
from hearth.compiler.cpu.kernels.rope import RopeSpec, rope_append, rope_table
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tunings
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, is_op, rewrite
from hearth.compiler.work import Work, role
from hearth.model.ops import hearth_op
from hearth.model.text.config import DecoderConfig
from hearth.model.text.decoder import padded_head
from hearth.model.text.kv_cache import PAGE_TOKENS, key_group
from hearth.quant.formats import round_up

LANES = 16
TILE_TOKENS = 16
SPLIT_TOKENS = 256
"""Tokens of context whose part of attention is computed on its own: short enough to share a long context evenly, long
enough that folding the parts costs little."""


@dataclass(frozen=True)
class Product:
    """One product of the plan, as `hearth tune` measures it.

    Attributes:
        spec: on the best instruction set.
        units: of its step: blocks of 16 rows, pairs of them when gated.
        unit_bytes: of weights that each reads.
        blocks: column blocks in a row.
        kp: columns of the prepared activation.
    """

    spec: MatmulSpec
    units: int
    unit_bytes: int
    blocks: int
    kp: int


@dataclass
class Selection:
    """What the pass needs to know, and the kernels it chose by name.

    Attributes:
        isas: instruction sets that every kernel is made for, best first.
        tunings: of products on instruction sets; those that are not in it are computed as by default.
        products: the product of every step that is one, in order.
        kernels: by name, for each instruction set.
        scratch_bytes: the most scratch that any chosen kernel uses.
    """

    config: DecoderConfig
    isas: Sequence[Isa]
    parameters: Parameters
    max_partials: int
    kv_dtype: str = "float16"
    tunings: Tunings = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    kernels: dict[str, dict[Isa, Kernel]] = field(default_factory=dict)
    scratch_bytes: int = 64

    def use(self, name: str, make: Callable[[Isa], Kernel], scratch_bytes: int = 0) -> str:
        """The kernel that `make` makes for each instruction set: one name, one list of arguments, one plan for all.

        Args:
            name: of the kernel where it is known before it is made; "" otherwise.
            scratch_bytes: the most that the kernel uses, on any instruction set.
        """
        if name not in self.kernels:
            first, *others = self.isas
            kernel = make(first)
            name = kernel.name
            if name not in self.kernels:
                self.kernels[name] = {first: kernel, **{isa: make(isa) for isa in others}}
                assert len({(k.name, k.num_buffers, k.num_scalars) for k in self.kernels[name].values()}) == 1
        self.scratch_bytes = max(self.scratch_bytes, scratch_bytes)
        return name


def stride(width: int) -> int:
    """Row stride of an activation of `width` columns, in elements."""
    return round_up(width, LANES)


def tensor(*shape: Any, dtype: str = "float32") -> Any:
    return relax.TensorType(shape, dtype)


def call(
    kernel: str,
    buffers: Sequence[Any],
    out: Any,
    units: Any,
    scalars: Sequence[Any],
    grain: int = 1,
    *,
    work: Work,
    in_place: bool = False,
) -> Any:
    """One step: `kernel` over [0, units), `grain` units at a time; `in_place`: its result is its last operand."""
    numbers = [tirx.IntImm("int64", x) if isinstance(x, int) else x for x in (units, grain, *scalars)]
    operands = [*buffers, relax.ShapeExpr(numbers)]
    return hearth_op("kernel", operands, out, kernel=kernel, in_place=in_place, work=work.to_text())


def select_kernels(module: Any, selection: Selection) -> Any:
    rules: dict[str, Callable[[Graph, Any, Selection], Any]] = {
        "hearth.embedding": _embedding,
        "hearth.rope_table": _rope_table,
        "hearth.prepare": _prepare,
        "hearth.product": _product,
        "hearth.gate": _gate,
        "hearth.attention": _attention,
        "hearth.norm_add": _norm_add,
        "nn.rms_norm": _rms_norm,
    }

    def rule(graph: Graph, value: Any) -> Any:
        for name, chosen in rules.items():
            if is_op(value, name):
                return chosen(graph, value, selection)
        return None

    lowered = rewrite(module, rule)
    for peak in (peak_int8, peak_float32):
        selection.use("", peak, scratch_bytes=SCRATCH_BYTES)
    for kernels in selection.kernels.values():
        for isa, kernel in kernels.items():
            lowered[isa.symbol(kernel.name)] = kernel.finish(isa.symbol(kernel.name))
    return lowered


def _width(var: Any) -> int:
    """Columns of an activation, before padding."""
    return int(var.ty.shape[1])


def _embedding(graph: Graph, value: Any, s: Selection) -> Any:
    ids, w = arguments(value)
    packed = s.parameters.packed[w.name]
    scale, ld = float(attribute(value, "scale")), stride(_width(value))
    kernel = s.use("", lambda isa: embedding(packed.fmt, scale))
    n = ids.ty.shape[0]
    work = Work("embedding", operations=_width(value), gathers=True)
    return call(kernel, [ids, w], tensor(n, ld), n, [packed.blocks, ld], work=work)


def _rope_table(graph: Graph, value: Any, s: Selection) -> Any:
    positions, inv_freq = arguments(value)
    kernel = s.use("", lambda isa: rope_table(float(attribute(value, "attention_factor"))))
    n, half = positions.ty.shape[0], int(inv_freq.ty.shape[0])
    tables, work = [tensor(n, half), tensor(n, half)], Work("rope_table", operations=3 * half)
    return call(kernel, [positions, inv_freq], tables, n, [half], grain=8, work=work)


def _prepare(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    norm, gather = bool(attribute(value, "norm")), bool(attribute(value, "gather"))
    quantise, eps = bool(attribute(value, "quantise")), float(attribute(value, "epsilon"))
    outputs = value.ty_args[0]
    types = list(outputs.fields) if quantise else [outputs]
    m, kp = types[0].shape[0], int(types[0].shape[1])
    size = _width(args[0])
    kernel = s.use("", lambda isa: prepare(norm=norm, quantise=quantise, gather=gather, eps=eps), scratch_bytes=4 * kp)
    # Norm: square, sum, scale, weight. Quantisation: largest, scale, round, sum.
    does = "norm" if norm else "gather" if gather else "quantise" if quantise else "pad"
    work = Work(does, m.name, (4 * norm + 4 * quantise) * size, gathers=gather)
    out = types if quantise else types[0]
    return call(kernel, args, out, m, [size, kp, stride(size)], grain=2, work=work)


def _product(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    inputs = int(attribute(value, "inputs"))
    w = args[inputs]
    packed = s.parameters.packed[w.name]
    epilogue = str(attribute(value, "epilogue", "store"))
    spec = MatmulSpec(
        packed.fmt,
        s.isas[0],
        activations="int8" if inputs == 2 else "float32",
        bias=bool(attribute(value, "bias", False)),
        epilogue=epilogue,  # type: ignore[arg-type]
        activation=str(attribute(value, "activation", "silu")),  # type: ignore[arg-type]
        scale=float(attribute(value, "scale", 1.0)),
        softcap=float(attribute(value, "softcap", 0.0)) or None,
    )

    def tuned(isa: Isa) -> MatmulSpec:
        return replace(spec, isa=isa, tuning=s.tunings.get(isa.symbol(spec.name), DEFAULT_TUNING))

    m, kp = args[0].ty.shape[0], int(args[0].ty.shape[1])
    out = value.ty_args[0]
    units = round_up(packed.n, LANES) // LANES // (2 if epilogue == "gated" else 1)
    ld = LANES * units
    kernel = s.use(spec.name, lambda isa: matmul(tuned(isa)))
    buffers = [w, *args[:inputs], *args[inputs + 1 :]]
    unit_bytes = packed.size_bytes // units
    best = tuned(s.isas[0])
    s.products.append(Product(best, units, unit_bytes, packed.blocks, kp))
    grain = best.tuning.grain(units, unit_bytes)
    scalars = [m, packed.blocks, kp, ld]
    operations = 2 * packed.n * int(packed.k or 0)
    work = Work(role(w.name), m.name, operations, arithmetic="int8" if inputs == 2 else "float32")
    if epilogue != "logits":
        return call(kernel, buffers, tensor(m, ld), units, scalars, grain, work=work)
    types = [tensor(m, ld), tensor(m, units), tensor(m, units, dtype="int32")]
    parts = graph.emit(
        call(kernel, buffers, types, units, [*scalars, packed.n], grain, work=replace(work, role="head"))
    )
    logits, largest, where = (graph.emit(relax.TupleGetItem(parts, i)) for i in range(3))
    search = s.use("", lambda isa: argmax())
    work = Work("argmax", m.name, units)
    found = graph.emit(call(search, [largest, where], out.fields[1], m, [units], work=work))
    return relax.Tuple([logits, found])


def _gate(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    kernel = s.use("", lambda isa: gate(str(attribute(value, "activation"))))
    m, ld = args[0].ty.shape[0], stride(_width(args[0]))
    return call(kernel, args, tensor(m, ld), m, [ld], grain=2, work=Work("gate", m.name, 4 * ld))


def _attention(graph: Graph, value: Any, s: Selection) -> Any:
    c = s.config
    layer = c.layers[int(attribute(value, "layer"))]
    q, k, v, *rest = arguments(value)
    tables, rest = (rest[:2], rest[2:]) if layer.rope is not None else ([], rest)
    norms, rest = (rest[:2], rest[2:]) if c.qk_norm else ([], rest)
    positions, token_seq, items, merges, block_table, k_pages, v_pages = rest
    sources, offsets, strides = zip(*(_columns(graph, x) for x in (q, k, v)), strict=True)
    n, seq_stride = q.ty.shape[0], block_table.ty.shape[1]
    group, hp = c.num_heads // c.num_kv_heads, padded_head(c.head_dim)

    dims = key_group(hp) if s.kv_dtype == "int8" else 0
    rope = RopeSpec(layer.rope is not None, c.qk_norm, c.norm_eps, c.attention_scale, s.kv_dtype, dims)
    half = len(c.ropes[layer.rope].inv_freq) if layer.rope is not None else 0
    append = s.use(rope.name, lambda isa: rope_append(rope), scratch_bytes=4 * hp)
    scalars = [*strides, *offsets, group, c.num_kv_heads, c.head_dim, hp, half, n, seq_stride, PAGE_TOKENS]
    # The pages are written by this step and read by the next; that the rotated q comes from here orders the two.
    rotated = graph.emit(
        call(
            append,
            [*sources, *tables, *norms, positions, token_seq, block_table, k_pages, v_pages],
            tensor(c.num_kv_heads, n, group, hp), n * c.num_kv_heads, scalars,
            work=Work("rope", operations=3 * (c.num_heads + c.num_kv_heads) * c.head_dim, appends=True),
        )
    )  # fmt: skip
    spec = AttentionSpec(layer.sliding_window, c.attention_softcap, TILE_TOKENS, SPLIT_TOKENS, group, hp, s.kv_dtype)
    kernel = s.use(spec.name, lambda isa: attention(isa, spec, PAGE_TOKENS), spec.scratch_bytes())
    merge = s.use("", lambda isa: attention_merge(spec))
    ld = stride(c.num_heads * c.head_dim)
    out = tensor(n, ld)
    partials = tensor(s.max_partials, c.num_kv_heads, group, partial_width(hp))
    parts = graph.emit(
        call(
            kernel,
            [rotated, k_pages, v_pages, items, positions, block_table],
            [partials, out], items.ty.shape[0] * c.num_kv_heads, [c.num_kv_heads, c.head_dim, n, seq_stride, ld],
            # A product with the key, a product with the value.
            work=Work("attention", pair_operations=4 * c.num_heads * c.head_dim, window=layer.sliding_window or 0),
        )
    )  # fmt: skip
    left, done = (graph.emit(relax.TupleGetItem(parts, i)) for i in range(2))
    return call(
        merge,
        [left, merges, done],
        out, merges.ty.shape[0] * c.num_kv_heads, [c.num_kv_heads, c.head_dim, ld], in_place=True,
        work=Work("attention_merge"),
    )  # fmt: skip


def _columns(graph: Graph, var: Any) -> tuple[Any, int, int]:
    """(buffer, first column, row stride): where q, k or v lies, alone or as a part of a merged product."""
    value = graph.value(var)
    if isinstance(value, relax.TupleGetItem):
        split = graph.value(value.tuple_value)
        if is_op(split, "split"):
            starts = [0, *(int(i) for i in split.attrs.indices_or_sections)]
            return split.args[0], starts[value.index], stride(_width(split.args[0]))
    return var, 0, stride(_width(var))


def _norm_add(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight, residual = arguments(value)
    eps, scale = float(attribute(value, "epsilon")), float(attribute(value, "scale"))
    kernel = s.use("", lambda isa: rms_norm(eps=eps, add=True, scale=scale))
    size, m = _width(x), x.ty.shape[0]
    scalars, work = [size, stride(size), stride(size)], Work("norm", m.name, 6 * size)
    return call(kernel, [x, weight, residual], tensor(m, stride(size)), m, scalars, grain=2, work=work)


def _rms_norm(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight = value.args
    kernel = s.use("", lambda isa: rms_norm(eps=float(value.attrs.epsilon), add=False))
    size, m = _width(x), x.ty.shape[0]
    scalars, work = [size, stride(size), stride(size)], Work("norm", m.name, 4 * size)
    return call(kernel, [x, weight], tensor(m, stride(size)), m, scalars, grain=2, work=work)
