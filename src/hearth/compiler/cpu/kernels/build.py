"""From a PrimFunc to an object file: the few TensorIR passes that plain kernels need, then LLVM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tvm
from tvm import tirx


def lower(module: Any, target: Any) -> Any:
    """The module after each lowering pass; kernels have no blocks, threads or packed arguments, so there are few."""
    module = tirx.transform.BindTarget(target.with_host(target))(module)
    for each in (
        tirx.transform.FlattenBuffer(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        tirx.transform.LowerIntrin(),
    ):
        module = each(module)
    return module


def compile_module(module: Any, target: Any) -> Any:
    """A TVM runtime module that holds the machine code."""
    return tvm.get_global_func("target.build.llvm")(lower(module, target), target)


def write_object(module: Any, target: Any, path: Path) -> None:
    compile_module(module, target).write_to_file(str(path), "o")
