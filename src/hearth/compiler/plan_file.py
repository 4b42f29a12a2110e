"""The plan as bytes: plan.bin, as docs/architecture.md describes it and `runtime/csrc` reads it."""

from __future__ import annotations

import struct

from hearth.compiler.plan import Plan

PLAN_VERSION = 4
_HEADER_BYTES = 128


def plan_bytes(plan: Plan) -> bytes:
    """The content of plan.bin."""
    strings, texts = bytearray(b"\0"), {"": 0}

    def text(s: str) -> int:
        if s not in texts:
            texts[s] = len(strings)
            strings.extend(s.encode() + b"\0")
        return texts[s]

    symbols = {name: index for index, name in enumerate(plan.symbols)}
    kernels = {name: index for index, (name, _, _) in enumerate(plan.kernels)}
    args: list[int] = []
    dims: list[int] = []
    records: dict[str, list[bytes]] = {
        "symbols": [struct.pack("<2I2q", text(name), 0, *bounds) for name, bounds in plan.symbols.items()],
        "scalars": [struct.pack("<4I3q", s.op, s.a, s.b, 0, s.value, s.low, s.high) for s in plan.scalars],
        "buffers": [struct.pack("<2I2Q", b.kind, b.index, b.offset, b.size) for b in plan.buffers],
        "weights": [struct.pack("<2I2Q", text(name), 0, offset, size) for name, offset, size in plan.weights],
        "states": [struct.pack("<2IQ", text(name), symbols[symbol], size) for name, symbol, size in plan.states],
        "kernels": [struct.pack("<4I", text(name), buffers, scalars, 0) for name, buffers, scalars in plan.kernels],
        "steps": [],
        "inputs": [],
        "outputs": [],
        "functions": [],
    }
    for step in plan.steps:
        label = text(step.label)
        records["steps"].append(struct.pack("<6I", kernels[step.kernel], len(args), step.units, step.grain, label, 0))
        args += [*step.buffers, *step.scalars]
    for i in plan.inputs:
        records["inputs"].append(
            struct.pack("<8I", text(i.name), i.dtype, len(dims), len(i.dims), i.checks, i.low, i.high, 0)
        )
        dims += i.dims
    for o in plan.outputs:
        records["outputs"].append(
            struct.pack("<6I", text(o.name), o.buffer, o.dtype, len(dims), len(o.dims), o.row_stride)
        )
        dims += o.dims
    first_step = first_input = first_output = 0
    for f in plan.functions:
        ranges = (first_step, f.steps, first_input, f.inputs, first_output, f.outputs)
        records["functions"].append(struct.pack("<8I", text(f.name), text(f.door), *ranges))
        first_step += f.steps
        first_input += f.inputs
        first_output += f.outputs

    records["cuts"] = [struct.pack("<6I", c.function, c.step, c.buffer, c.rows, c.columns, 0) for c in plan.cuts]

    tables = {name: b"".join(table) for name, table in records.items()}
    order = ("symbols", "scalars", "buffers", "weights", "states", "kernels", "steps")
    body = [bytes(strings), *(tables[name] for name in order)]
    body += [struct.pack(f"<{len(args)}I", *args), struct.pack(f"<{len(dims)}I", *dims)]
    body += [tables[name] for name in ("inputs", "outputs", "functions", "cuts")]
    content = b"".join(table + bytes(-len(table) % 8) for table in body)
    counts = (*(len(records[name]) for name in order), len(args), len(dims), *(len(records[n]) for n in
              ("inputs", "outputs", "functions", "cuts")))  # fmt: skip
    header = struct.pack(
        "<8s2IQ14I3Q", b"HRTHPLAN", PLAN_VERSION, _HEADER_BYTES, _HEADER_BYTES + len(content), len(strings), *counts,
        plan.arena_bytes, plan.scratch_bytes, plan.weights_bytes,
    )  # fmt: skip
    return header.ljust(_HEADER_BYTES, b"\0") + content
