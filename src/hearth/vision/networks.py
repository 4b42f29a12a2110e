"""The open networks of one model: one for each size of pictures that has been asked for, opened when it is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.errors import UsageError
from hearth.image.spec import VisionSpec, load_spec
from hearth.model.kinds import VISION
from hearth.prepare import Opened, ProgressCallback, open_model, prepare, start_loading
from hearth.quant.policy import Precision
from hearth.runtime import Model, Session

_MOST_OPEN = 4


@dataclass(frozen=True)
class Opening:
    """How a model is opened, whatever the size. Attributes: as `Vision`."""

    model: str
    quant: str | None
    calibrate: str | None
    precision: Precision
    threads: int | None
    mmap: bool
    offline: bool
    trust_bundle: bool


@dataclass(frozen=True)
class Network:
    """An open network."""

    opened: Opened
    spec: VisionSpec
    model: Model
    session: Session

    @property
    def most(self) -> int:
        """Pictures in one run."""
        return self.model.info.functions["image"].inputs["pixels"].most[0]

    def close(self) -> None:
        self.session.close()
        self.model.close()


class Networks:
    """Networks by the size that they take; the least recently used of more than a few is closed.

    Runs are computed one after another, whichever threads ask for them.
    """

    def __init__(self, opening: Opening, size: tuple[int, int] | None, progress: ProgressCallback | None) -> None:
        self._opening = opening
        self._lock = threading.RLock()
        self._open: OrderedDict[tuple[int, int], Network] | None = OrderedDict()
        self.first = self._add(size, progress)

    def run(self, size: tuple[int, int], function: str, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """What a function gives of these inputs, copied."""
        with self._lock:
            outputs = self.of(size).session.run(function, inputs)
            return {name: np.array(value) for name, value in outputs.items()}

    def of(self, size: tuple[int, int]) -> Network:
        """The network for pictures of a size, compiled if it never was."""
        with self._lock:
            if self._open is None:
                raise UsageError("This Vision was closed.", hint="Ask it within its `with` block, or open it anew.")
            if size not in self._open:
                return self._add(size, None)
            self._open.move_to_end(size)
            return self._open[size]

    def _add(self, size: tuple[int, int] | None, progress: ProgressCallback | None) -> Network:
        o = self._opening
        opened = prepare(
            o.model, kinds=(VISION,), size=size, quant=o.quant, calibrate=o.calibrate, precision=o.precision,
            progress=progress, offline=o.offline, mmap=o.mmap, trust_bundle=o.trust_bundle,
        )  # fmt: skip
        spec = load_spec(opened.bundle.path)
        if size not in (None, spec.size):
            made, wanted = (f"{height} x {width}" for height, width in (spec.size, size))
            raise UsageError(
                f"{o.model} was compiled for pictures of {made} pixels, and this one is brought to {wanted}.",
                hint="Bring all pictures to its size (size=(height, width), --size HxW), or open the model that it was"
                " made of.",
            )
        model = open_model(opened, progress, start_loading(opened, mmap=o.mmap))
        network = Network(opened, spec, model, Session(model, threads=o.threads))
        assert self._open is not None
        self._open[spec.size] = network
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return network

    def close(self) -> None:
        with self._lock:
            for network in (self._open or {}).values():
                network.close()
            self._open = None
