"""`hearth.compile`: any PyTorch module, ONNX file or exported program as something that is called with arrays.

torch is needed where a module is given, to export it; never to run what was compiled.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.bundle import open_bundle, require_trusted
from hearth.calibrate import calibration_of
from hearth.checkpoint.graphs import CHAIN, METADATA, is_graph
from hearth.checkpoint.mapped import read_json_object, written_by_compiler
from hearth.checkpoint.pt2 import ExportedProgram
from hearth.errors import CompileError, Unsupported, UsageError
from hearth.prepare import COMPILE_HINT, ProgressCallback, compile_progress
from hearth.quant.policy import Precision
from hearth.runtime import Model, Session, TensorInfo

Sizes = Mapping[str, int | tuple[int, int]]
_FUNCTION = "main"


@dataclass(frozen=True)
class Chain:
    """Functions of a bundle that run one after another (`model.network.Chain`)."""

    functions: tuple[str, ...]
    cuts: Mapping[str, tuple[str, str]]
    outputs: tuple[str, ...]


class Graph:
    """A compiled graph: arrays in, arrays out. Safe to call from several threads, one at a time.

    Args:
        bundle: the folder that `compile` or `hearth compile` made.
        threads: that compute; the physical cores this process may use by default.
        trust_bundle: run it though it was compiled elsewhere: it is a program.

    Attributes:
        inputs, outputs: names, types, shapes.
        sizes: those that are open: the least and the largest of each.
        metadata: texts by name that its authors put into the file, such as labels.

    Raises:
        ModelNotFound, CorruptFile, BundleMismatch, UntrustedBundle: it is no bundle, or none to run here.
        Unsupported: the bundle is of a model of another kind.
        NotEnoughMemory: its weights do not fit.
    """

    def __init__(
        self, bundle: str | os.PathLike[str], *, threads: int | None = None, trust_bundle: bool = False
    ) -> None:
        opened = open_bundle(Path(bundle))
        if not trust_bundle:
            require_trusted(opened)
        self.path = opened.path
        self.metadata: Mapping[str, str] = _metadata(opened.path)
        self._model = Model(opened.path)
        try:
            functions = self._model.info.functions
            function = functions.get(_FUNCTION)
            if function is None or function.door:
                raise Unsupported(
                    f"{opened.manifest.source_name} is no graph of arrays.",
                    why=f"It is of the kind {opened.manifest.kind!r}.",
                    hint="Language models are opened with hearth.LLM.",
                )
            self.inputs: Mapping[str, TensorInfo] = function.inputs
            self._chain = _chain(opened.path) or Chain((_FUNCTION,), {}, tuple(function.outputs))
            given = {name: tensor for each in self._chain.functions for name, tensor in functions[each].outputs.items()}
            self.outputs: Mapping[str, TensorInfo] = {name: given[name] for name in self._chain.outputs}
            named = {size for tensor in self.inputs.values() for size in tensor.shape}
            self.sizes: Mapping[str, tuple[int, int]] = {
                name: bounds for name, bounds in self._model.info.symbols.items() if name in named
            }
            self._session = Session(self._model, threads=threads)
        except BaseException:
            self._model.close()
            raise
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """The outputs by name.

        Args:
            inputs: an array for each of `self.inputs`; 64-bit integers and floats are taken where their values fit.

        Raises:
            UsageError: a name, shape, type or value is wrong, or the graph is closed.
        """
        given = {name: _narrowed(np.asarray(values)) for name, values in inputs.items()}
        with self._lock:
            return self._run(given)

    def _run(self, known: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs function after function, each on what is known by then."""
        functions, chain = self._model.info.functions, self._chain
        for name in chain.functions:
            wanted = known if name == _FUNCTION else {each: known[each] for each in functions[name].inputs}
            found = {each: array.copy() for each, array in self._session.run(name, wanted).items()}
            known = known | found
            for cut, (whole, count) in chain.cuts.items():
                if count in found:
                    known[cut] = known[whole][: int(found[count][0])]
        return {name: known[name] for name in chain.outputs}

    def __call__(self, *inputs: ArrayLike) -> NDArray[Any] | tuple[NDArray[Any], ...]:
        """The one output, or all in order, for arrays in the order of `self.inputs`."""
        if len(inputs) != len(self.inputs):
            raise UsageError(
                f"{len(inputs)} arrays were given.",
                why=f"The graph takes {len(self.inputs)}: {', '.join(self.inputs)}.",
            )
        found = tuple(self.run(dict(zip(self.inputs, inputs, strict=True))).values())
        return found[0] if len(found) == 1 else found

    @property
    def threads(self) -> int:
        """That compute."""
        return self._session.threads

    def close(self) -> None:
        """Gives back its memory."""
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def compile(  # what it is called everywhere else
    source: Any,
    example_inputs: Sequence[Any] | None = None,
    *,
    sizes: Sizes | None = None,
    dynamic_shapes: Any = None,
    quant: str | None = None,
    calibrate: str | os.PathLike[str] | None = None,
    precision: Precision = "default",
    output: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> Graph:
    """Compiles a graph for this machine and opens it; what was compiled before opens at once.

    Args:
        source: an .onnx or .pt2 file, a `torch.nn.Module`, or what `torch.export.export` gives.
        example_inputs: for a module: tensors that it can be called with.
        sizes: for sizes that the graph leaves open a number, or the least and largest.
        dynamic_shapes: for a module: as `torch.export.export` takes them.
        quant: number format of the matrices: `q8` by default; `f32` computes what the original does; `w4a8` needs
            `calibrate`.
        calibrate: folder of examples: pictures, or files .npz of numpy with an array for each input.
        precision: `high` computes with f32 activations; `fast` is the format int8.
        output: folder to write the bundle to; None: Hearth's cache.
        threads: that compute.
        progress: is told how far compiling is.

    Raises:
        Unsupported: operations that cannot be compiled, with their places.
        UsageError: a module without example inputs, a size that the graph does not have.
        CompileError: the compiler is not installed or fails, or torch cannot export the module.
    """
    if isinstance(source, str | os.PathLike):
        return _compiled(Path(source), str(source), sizes, quant, calibrate, precision, output, threads, progress)
    with tempfile.TemporaryDirectory(prefix="hearth-export-") as folder:
        file = Path(folder) / "model.pt2"
        _export(source, example_inputs, dynamic_shapes, file)
        # The same module is compiled once: its file is known by what it holds, not by when it was written.
        file = file.rename(file.with_name(f"{ExportedProgram(file).digest()}.pt2"))
        os.utime(file, (0, 0))
        return _compiled(file, type(source).__name__, sizes, quant, calibrate, precision, output, threads, progress)


def _compiled(
    path: Path, name: str, sizes: Sizes | None, quant: str | None, calibrate: str | os.PathLike[str] | None,
    precision: Precision, output: str | os.PathLike[str] | None, threads: int | None, progress: ProgressCallback | None,
) -> Graph:  # fmt: skip
    if not is_graph(path):
        raise UsageError(f"{path} is no .onnx or .pt2 file.", hint="Language models are opened with hearth.LLM.")
    calibration = calibration_of(quant, calibrate)
    try:
        from hearth.compiler.imported import compile_graph

        folder = compile_graph(
            path, name=name, sizes=sizes, quant=quant, precision=precision, calibration=calibration,
            output=None if output is None else Path(output), progress=compile_progress(progress),
        )  # fmt: skip
    except ImportError as error:
        raise CompileError("The compiler is not installed.", why=f"({error})", hint=COMPILE_HINT) from error
    return Graph(folder, threads=threads)


def _export(source: Any, example_inputs: Sequence[Any] | None, dynamic_shapes: Any, file: Path) -> None:
    """Writes what torch exports of a module, with copies in the place of changes in place."""
    try:
        import torch
    except ImportError as error:
        raise CompileError(
            "torch is not installed.", why="It is needed to export a module.", hint="Or give an .onnx or a .pt2 file."
        ) from error
    program = source
    if isinstance(source, torch.nn.Module):
        if example_inputs is None:
            raise UsageError(
                "example_inputs are missing.",
                why="A module is exported by calling it.",
                hint="Give a tuple of tensors.",
            )
        try:
            program = torch.export.export(source.eval(), tuple(example_inputs), dynamic_shapes=dynamic_shapes)
        except Exception as error:  # whatever the module does that torch cannot follow
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise CompileError(
                f"torch cannot export {type(source).__name__}.", why=f"{first[:500]}", hint="See torch.export's guide."
            ) from error
    if not isinstance(program, torch.export.ExportedProgram):
        raise UsageError(f"A {type(source).__name__} cannot be compiled.", hint="Give a file or a torch.nn.Module.")
    torch.export.save(program.run_decompositions({}), file)


def _chain(folder: Path) -> Chain | None:
    """How a bundle's functions make up one; None: it has one. Raises CorruptFile."""
    path = folder / CHAIN
    with written_by_compiler(path):
        if not path.is_file():
            return None
        told = read_json_object(path)
        cuts = {str(name): (str(whole), str(count)) for name, (whole, count) in told["cuts"].items()}
        return Chain(tuple(map(str, told["functions"])), cuts, tuple(map(str, told["outputs"])))


_NARROWER = {np.dtype(np.int64): np.dtype(np.int32), np.dtype(np.float64): np.dtype(np.float32),
             np.dtype(np.bool_): np.dtype(np.int32)}  # fmt: skip


def _metadata(folder: Path) -> dict[str, str]:
    """What the graph's file says of it. Raises CorruptFile."""
    path = folder / METADATA
    with written_by_compiler(path):
        return {str(name): str(text) for name, text in read_json_object(path).items()} if path.is_file() else {}


def _narrowed(array: NDArray[Any]) -> NDArray[Any]:
    """As the runtime takes it; integers that i32 does not hold are left, for it to refuse."""
    wanted = _NARROWER.get(array.dtype)
    if wanted is None or (wanted.kind == "i" and array.size and not _fits(array)):
        return array
    return array.astype(wanted)


def _fits(array: NDArray[Any]) -> bool:
    limits = np.iinfo(np.int32)
    return bool(array.min() >= limits.min and array.max() <= limits.max)
