"""From a PrimFunc to an object file: the few TensorIR passes that plain kernels need, then LLVM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from hearth.compiler.cpu.kernels.builder import LLVM_FEATURES, LLVM_OPTIONS


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
    target = _with_options(module, target)
    return tvm.get_global_func("target.build.llvm")(lower(module, target), target)


def _with_options(module: Any, target: Any) -> Any:
    """The target with what the module's functions ask of LLVM."""
    options, features = (_asked(module, attribute) for attribute in (LLVM_OPTIONS, LLVM_FEATURES))
    if not options and not features:
        return target
    attrs = {key: target.attrs[key] for key in ("mtriple", "mcpu", "mattr", "vector-width") if key in target.attrs}
    attrs["mattr"] = [*attrs["mattr"], *features]
    if options:
        attrs["cl-opt"] = [f"{option}:bool=1" for option in options]
    return tvm.target.Target({"kind": "llvm", **attrs})


def _asked(module: Any, attribute: str) -> list[str]:
    return sorted({str(each) for f in module.functions.values() for each in (f.attrs or {}).get(attribute, ())})


def write_object(module: Any, target: Any, path: Path) -> None:
    compile_module(module, target).write_to_file(str(path), "o")
