"""A network that is watched: what its matrices multiply, and what becomes of its outputs where they are disturbed."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hearth.compiler.compile import Job, compile_job, one_at_a_time
from hearth.runtime import Model, Session

F32 = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]


class Observer:
    """A function of a network in f32, compiled for this machine as long as it is open. One item goes through it at a
    time.

    Args:
        job: whose network it is.
        function: of it.
        weights: the matrices whose products are watched.
        sizes: bounds of open sizes, of examples that are not all alike (`compiler.instrument.instrument`).

    Raises: as `compile_job`, and NotEnoughMemory.
    """

    def __init__(
        self,
        job: Job,
        function: str,
        weights: Collection[str],
        *,
        threads: int,
        sizes: Mapping[str, tuple[int, int]] | None = None,
        report: Callable[[str, int, int], None] | None = None,
    ) -> None:
        from hearth.compiler.instrument import instrument

        with one_at_a_time():
            instrumented = instrument(job.network, function, weights, sizes)
        self.products = instrumented.products
        self._outputs, self._function = instrumented.outputs, function
        watched = replace(
            job, network=instrumented.network, formats={}, calibration=None, write=lambda folder: None, quant="f32"
        )
        self._folder = Path(tempfile.mkdtemp(prefix="hearth-calibrate-"))
        try:
            bundle = compile_job(watched, output=self._folder / "bundle", threads=threads, progress=report)
            self._model = Model(bundle)
            self._session = Session(self._model, threads=threads)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._declared = self._model.info.functions[function].inputs
        largest = max((math.prod(self._declared[p.disturbance].most) for p in self.products), default=0)
        self._zeros = np.zeros(largest, np.float32)

    def run(self, inputs: Arrays, disturbances: Arrays | None = None) -> dict[str, NDArray[Any]]:
        """Outputs, and activations by the names that `products` give them: views, until the next run.

        Args:
            inputs: of one item.
            disturbances: what is added to results of products; others are left alone.
        """
        return self._session.run(self._function, {**self._still(inputs), **(disturbances or {}), **inputs})

    def _still(self, inputs: Arrays) -> dict[str, F32]:
        """Disturbances of nothing, in the sizes that the inputs have."""
        sizes = {
            axis: size
            for name, array in inputs.items()
            if name in self._declared
            for axis, size in zip(self._declared[name].shape, array.shape, strict=False)
        }
        found = {}
        for product in self.products:
            shape = [
                axis if isinstance(axis, int) else sizes[axis] for axis in self._declared[product.disturbance].shape
            ]
            found[product.disturbance] = self._zeros[: math.prod(shape)].reshape(shape)
        return found

    def outputs(self, inputs: Arrays, disturbances: Arrays | None = None) -> dict[str, F32]:
        """The network's own outputs, copied."""
        found = self.run(inputs, disturbances)
        return {name: np.array(found[name], np.float32) for name in self._outputs}

    def close(self) -> None:
        self._session.close()
        self._model.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
