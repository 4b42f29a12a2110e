"""Plans for GPUs by hand, with shaders by hand: on purpose apart from the compiler, so that an error in the one does
not hide in the other. Each kernel follows docs/architecture.md: buffers from binding 0 on, behind them a uniform with
its scalars and the number of units; a workgroup is a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.runtime import plan_writer as pw
from tests.runtime import tiny_model
from tests.runtime.tiny_model import HIDDEN, LOGIT_STRIDE, PAGE, VOCAB

READ, WRITE = "read", "read_write"


def shader(
    name: str,
    buffers: Sequence[tuple[str, str]],
    scalars: int,
    body: str,
    *,
    threads: int = 1,
    features: str = "core",
    enable: str = "",
) -> str:
    """A shader of kernels.wgsl. `body` sees `unit`, `thread`, b0, b1, ... and a.s0, a.s1, ..., a.units.

    Args:
        buffers: access and element type of each.
    """
    lines = [f"//@ {name} {threads} {features}", enable]
    lines += [
        f"@group(0) @binding({i}) var<storage, {access}> b{i}: array<{kind}>;"
        for i, (access, kind) in enumerate(buffers)
    ]
    lines.append("struct Args { " + "".join(f"s{i}: i32, " for i in range(scalars)) + "units: i32 }")
    lines.append(f"@group(0) @binding({len(buffers)}) var<uniform> a: Args;")
    lines.append(
        f"@compute @workgroup_size({threads}) fn {name}(@builtin(workgroup_id) group: vec3<u32>, "
        "@builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {"
    )
    lines.append("let unit = i32(group.z * grid.x + group.x); let thread = i32(local.x);")
    lines.append(f"if (unit >= a.units) {{ return; }}\n{body}\n}}")
    return "\n".join(lines) + "\n"


@dataclass
class GpuWriter(pw.PlanWriter):
    """`PlanWriter` with what plans for GPUs have beyond others: several arenas, parts of weights, shaders."""

    scratch_bytes: int = 0
    shaders: list[str] = field(default_factory=list)
    arena_sizes: dict[int, int] = field(default_factory=dict)

    def arena(self, size: int, index: int = 0) -> int:
        """A new buffer at the end of an arena."""
        offset = self.arena_sizes.get(index, 0)
        grown = (size + 255) // 256 * 256
        self.arena_sizes[index] = offset + grown
        self.arena_bytes += grown
        return pw._append(self.buffers, (pw.ARENA, index, offset, size))

    def part(self, weight: int, offset: int, size: int) -> int:
        """A buffer of a part of the weight that the buffer `weight` is all of."""
        return pw._append(self.buffers, (pw.WEIGHT, self.buffers[weight][1], offset, size))

    def gpu_kernel(self, name: str, buffers: Sequence[tuple[str, str]], scalars: int, body: str, **more: int) -> int:
        """A kernel with one shader."""
        self.shaders.append(shader(name, buffers, scalars, body, **more))  # type: ignore[arg-type]  # threads only
        return self.kernel(name, len(buffers), scalars)

    def write(self, folder: Path, weights: bytes) -> None:
        (folder / "gpu_plan.bin").write_bytes(self.to_bytes())
        (folder / "gpu_kernels.wgsl").write_text("".join(self.shaders), encoding="utf-8")
        (folder / "weights.bin").write_bytes(weights.ljust(self.weights_bytes, b"\0"))


@dataclass
class GpuTextWriter(GpuWriter, pw.TextPlan):
    """The same with the inputs and symbols of the door "text"."""

    def __post_init__(self) -> None:
        pw.TextPlan.__post_init__(self)


F, I = "f32", "i32"  # noqa: E741  # as WGSL's own letters
_KERNELS: dict[str, tuple[list[tuple[str, str]], int, str]] = {
    "t_embed": (
        [(READ, I), (READ, F), (WRITE, F)],
        0,
        f"b2[unit * {HIDDEN} + thread] = b1[b0[unit] * {HIDDEN} + thread];",
    ),
    "t_scale": ([(READ, F), (WRITE, F)], 1, "if (thread == 0) { b1[unit] = b0[unit] * f32(a.s0); }"),
    "t_append": (
        [(WRITE, F), (READ, I), (READ, I), (READ, I), (WRITE, F)],
        1,
        f"""let position = b1[unit]; let page = b3[b2[unit] * a.s0 + position / {PAGE}];
        let value = b0[unit * {HIDDEN} + thread] + f32(position);
        b0[unit * {HIDDEN} + thread] = value;
        b4[(page * {PAGE} + position % {PAGE}) * {HIDDEN} + thread] = value;""",
    ),
    "t_attend": (
        [(READ, I), (READ, I), (READ, I), (READ, F), (WRITE, F)],
        1,
        f"""for (var t = b0[unit * 8]; t < b0[unit * 8] + b0[unit * 8 + 1]; t++) {{
            var sum = 0.0;
            for (var p = 0; p <= b1[t]; p++) {{
                let page = b2[b0[unit * 8 + 2] * a.s0 + p / {PAGE}];
                sum += b3[(page * {PAGE} + p % {PAGE}) * {HIDDEN} + thread];
            }}
            b4[t * {HIDDEN} + thread] = sum;
        }}""",
    ),
    "t_logits": (
        [(READ, F), (READ, I), (READ, F), (WRITE, F)],
        2,
        f"""for (var v = thread; v < a.s0; v += {HIDDEN}) {{
            var dot = 0.0;
            for (var c = 0; c < {HIDDEN}; c++) {{ dot += b0[b1[unit] * {HIDDEN} + c] * b2[v * {HIDDEN} + c]; }}
            b3[unit * a.s1 + v] = dot;
        }}""",
    ),
    "t_argmax": (
        [(READ, F), (WRITE, I)],
        2,
        """if (thread == 0) {
            var best = 0;
            for (var v = 1; v < a.s0; v++) { if (b0[unit * a.s1 + v] > b0[unit * a.s1 + best]) { best = v; } }
            b1[unit] = best;
        }""",
    ),
}


def tiny_text() -> GpuTextWriter:
    """The model of tiny_model.py, for a GPU."""
    p = GpuTextWriter()
    tokens, rows = p.limits["tokens"], p.limits["logit_rows"]
    ids, positions, token_seq = (p.buffer[name] for name in ("token_ids", "positions", "token_seq"))
    items, table, logit_rows = (p.buffer[name] for name in ("items", "block_table", "logit_rows"))
    embedding, head = p.weight("embedding", VOCAB * HIDDEN * 4), p.weight("head", VOCAB * HIDDEN * 4)
    cache = p.state("cache", "pages", PAGE * HIDDEN * 4)
    x, hidden = p.arena(tokens * HIDDEN * 4, 0), p.arena(tokens * HIDDEN * 4, 0)
    doubled, logits = p.arena(tokens * HIDDEN * 4, 1), p.arena(rows * LOGIT_STRIDE * 4, 1)
    argmax = p.arena(rows * 4, 2)
    n, n_rows, n_items, n_merges = (p.named[name] for name in ("tokens", "logit_rows", "items", "merges"))
    elements, stride = p.times(n, HIDDEN), p.named["block_table_stride"]
    two, vocab, row_stride, width = p.constant(2), p.constant(VOCAB), p.constant(LOGIT_STRIDE), p.constant(HIDDEN)
    kernel = {
        name: p.gpu_kernel(name, buffers, scalars, body, threads=HIDDEN)
        for name, (buffers, scalars, body) in _KERNELS.items()
    }
    p.step(kernel["t_embed"], [ids, embedding, x], [], units=n, label="embed")
    p.step(kernel["t_scale"], [x, doubled], [two], units=elements, label="scale")
    p.step(kernel["t_append"], [doubled, positions, token_seq, table, cache], [stride], units=n, label="append")
    p.step(kernel["t_scale"], [doubled, x], [two], units=n_merges, label="only with merges")
    p.step(kernel["t_attend"], [items, positions, table, cache, hidden], [stride], units=n_items, label="attend")
    p.step(kernel["t_logits"], [hidden, logit_rows, head, logits], [vocab, row_stride], units=n_rows, label="logits")
    p.step(kernel["t_argmax"], [logits, argmax], [vocab, row_stride], units=n_rows, label="argmax")
    p.output("logits", logits, [n_rows, vocab], row_stride)
    p.output("argmax", argmax, [n_rows], dtype=pw.I32)
    p.output("hidden", hidden, [n, width], width)
    return p


def tiny_weights() -> bytes:
    """weights.bin for `tiny_text`."""
    return tiny_model.weights_bytes()
