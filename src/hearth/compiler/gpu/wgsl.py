"""WGSL of kernels, by TVM's WebGPU code generator.

Kernels come with their threads, workgroup memory and barriers (`kernels/builder.py`), so of TVM's lowering only what
rewrites expressions is needed, and no host code at all: plans say what is dispatched.
"""

from __future__ import annotations

import re

import tvm
from tvm import tirx

from hearth.compiler.gpu.features import MAX_INVOCATIONS, MAX_WORKGROUP_BYTES
from hearth.compiler.gpu.kernels.builder import GpuKernel

# What TVM begins a kernel's body with: workgroups that the rounding of a grid adds leave. It lets one too many in.
_GUARD = re.compile(r"> podArgs\.packGridDimX\)")
_GRID = re.compile(r",\s*packGridDimX: u32")
# What WGSL writes more shortly: types of vectors, types that follow from values, elements of vectors, numbers, vectors
# of one number.
_VECTOR = re.compile(r"\bvec([234])<(?:([fui])32|f16)>")
_LET = re.compile(r"\b(let \w+) : \w+ =")
_LANE = re.compile(r"\((\w+)\)\[([0-3])\]")
_NUMBER = re.compile(r"\b(\d\.\d+e[+-]\d+)f\b")
_SPLAT = re.compile(r"(vec4\w)\(((?:[^(),]|\([^(),]*\))+)(?:, \2){3}\)")
# A register, which drivers that keep arrays in memory should not be shown as one.
_REGISTER = re.compile(r"^( *var )(\w+) : array<(\w+), 1>;$", re.MULTILINE)
_COMMENT = re.compile(r"^//.*\n", re.MULTILINE)


def wgsl(kernel: GpuKernel) -> str:
    """The shader of a kernel: its buffers are bindings 0 to n - 1 of group 0, binding n is a uniform struct of its
    scalars (i32) and the number of workgroups."""
    target = tvm.target.Target(
        {"kind": "webgpu", "max_num_threads": MAX_INVOCATIONS, "max_shared_memory_per_block": MAX_WORKGROUP_BYTES}
    )
    function = kernel.finish().with_attr(
        {
            "calling_conv": 2,  # a device kernel
            "tirx.is_global_func": True,
            "tirx.kernel_launch_params": ["blockIdx.x", "threadIdx.x"],
            "target": target,
        }
    )
    module = tvm.IRModule({kernel.name: function})
    for lowering in (
        tirx.transform.FlattenBuffer(),
        tirx.transform.RemoveNoOp(),
        tirx.transform.LowerIntrin(),
    ):
        module = lowering(module)
    made = tvm.get_global_func("target.build.webgpu")(module, target)
    return _mended(made.inspect_source("wgsl"), kernel)


def _mended(text: str, kernel: GpuKernel) -> str:
    text, guards = _GUARD.subn(">= u32(podArgs.units))", text)
    text, grids = _GRID.subn("", text)
    assert (guards, grids) == (1, 1), f"TVM writes {kernel.name} otherwise than expected"
    # No `enable subgroups;`, which Naga refuses and browsers want: there it is put in front.
    return _shortened(_COMMENT.sub("", text).strip()) + "\n"


def _shortened(text: str) -> str:
    text = _LET.sub(r"\1 =", _VECTOR.sub(lambda vector: f"vec{vector[1]}{vector[2] or 'h'}", text))
    text = _LANE.sub(lambda lane: f"{lane[1]}.{'xyzw'[int(lane[2])]}", text)
    text = _SPLAT.sub(r"\1(\2)", _NUMBER.sub(lambda number: f"{float(number[1])!r}f", text))
    for register in {match[2] for match in _REGISTER.finditer(text)}:
        text = re.sub(rf"\b{register}\[0i\]", register, text)
    return _REGISTER.sub(r"\1\2 : \3;", text)
