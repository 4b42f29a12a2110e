"""An open bundle: its plan checked, its weights in memory."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from hearth.errors import UsageError
from hearth.runtime import binding
from hearth.runtime import gpu_library as gpu_driver
from hearth.runtime.info import ModelInfo

_PROGRESS_INTERVAL_S = 0.05


class ModelHandle:
    """A `hearth_model` and the library it came from, given back when the last who holds this object lets go."""

    def __init__(self, library: ctypes.CDLL, pointer: ctypes.c_void_p) -> None:
        self.library = library
        self.pointer = pointer
        weakref.finalize(self, _close, library, pointer.value).atexit = False


class Loading:
    """A bundle that is being opened in a thread of its own, while its caller does something else.

    The thread is also there so that Ctrl-C and whatever `progress` raises end the wait at once: an exception cannot
    cross C code, and a signal that arrives while C code runs would be raised in its callback. When the wait is broken
    off, the thread stops at its next block and gives back what it has: nobody else may.

    Args: as `Model`.

    Raises:
        CorruptFile, BundleMismatch: there is no library, or it cannot be used here.
    """

    def __init__(
        self,
        bundle_dir: str | os.PathLike[str],
        *,
        use_mmap: bool = False,
        load_threads: int = 0,
        memory_limit_bytes: int = 0,
        isa: str | None = None,
        device: str = "cpu",
        gpu_library: str | os.PathLike[str] | None = None,
        gpu_features: str | None = None,
        gpu_unchecked: bool = False,
        layers: tuple[int, int] | None = None,
    ) -> None:
        self._path = Path(bundle_dir)
        self._again = partial(
            Loading, self._path, use_mmap=use_mmap, load_threads=load_threads, memory_limit_bytes=memory_limit_bytes,
            isa=isa, device=device, gpu_library=gpu_library, gpu_features=gpu_features, gpu_unchecked=gpu_unchecked,
        )  # fmt: skip
        driver = _gpu_library(device, gpu_library)
        first, end = _layers(layers)
        self._library = binding.load_library(binding.library_path(self._path))
        self._stop, self._finished = threading.Event(), threading.Event()
        self._reached = (-1, -1)
        self._opened: ModelHandle | None = None
        self._status, self._why = binding.INTERNAL, ""
        options = binding.OpenOptions(
            use_mmap=int(use_mmap),
            load_threads=load_threads,
            memory_limit_bytes=memory_limit_bytes,
            isa=None if isa is None else isa.encode(),
            device=device.encode(),
            gpu_library=None if driver is None else os.fsencode(driver),
            gpu_features=None if gpu_features is None else gpu_features.encode(),
            gpu_unchecked=int(gpu_unchecked),
            first_layer=first,
            end_layer=end,
        )
        options.progress = binding.ProgressCallback(self._on_progress)
        threading.Thread(target=self._work, args=[options], name="hearth-open", daemon=True).start()

    def model(self, progress: Callable[[int, int], None] | None = None) -> Model:
        """Waits for the model.

        Args:
            progress: as `Model`.

        Raises: as `Model`.
        """
        return Model._of(self, progress)

    def cancel(self) -> None:
        """Ends the loading without waiting for it; memory goes back once the thread has noticed."""
        self._stop.set()

    def _wait(self, progress: Callable[[int, int], None] | None) -> ModelHandle:
        reported = (-1, -1)
        try:
            while not self._finished.is_set():
                self._finished.wait(_PROGRESS_INTERVAL_S)
                if progress is not None and self._reached != reported:
                    reported = self._reached
                    progress(*reported)
        except BaseException:
            self.cancel()
            raise
        if self._opened is None:
            binding.raise_error(self._status, f"The bundle {self._path} cannot be opened.", self._why)
        opened, self._opened = self._opened, None
        return opened

    def _on_progress(self, _user: Any, done: int, total: int) -> int:
        self._reached = (done, total)
        return int(self._stop.is_set())

    def _work(self, options: binding.OpenOptions) -> None:
        try:
            pointer = ctypes.c_void_p()
            self._status = self._library.hearth_open(
                os.fsencode(self._path), ctypes.byref(options), ctypes.byref(pointer)
            )
            if self._status == binding.OK:
                self._opened = ModelHandle(self._library, pointer)
            else:
                self._why = self._library.hearth_error().decode("utf-8", "replace")
                binding.unload_library(self._library)
        finally:
            self._finished.set()


class Model:
    """Opens `bundle_dir` and keeps its weights in memory until `close`.

    Args:
        bundle_dir: folder with `plan.bin`, `weights.bin` and the library.
        use_mmap: map the weights instead of copying them: starts at once and shares memory between processes, but
            decodes slower where the system has no huge pages for files.
        progress: called with (bytes done, bytes in total) while weights are read, last with all of them. What it raises
            ends the loading.
        load_threads: threads that read the weights; 0 lets the runtime choose.
        memory_limit_bytes: refuse to hold more than this, sessions included; 0 is no limit.
        isa: which instruction set's kernels to use, of those that the bundle has; None: the best that this processor
            runs.
        device: `cpu`; `gpu`, the first discrete GPU, else the first of any kind; `gpu:N`, that of `devices` with the
            index N.
        gpu_library: libwgpu_native, which drives GPUs; None: that of the installed package (`gpu_library.find`).
        gpu_features: which of `f16`, `subgroups` and `dot4`, joined by `+`, kernels of a GPU may use where it has them;
            words separated by spaces: such a list for all kernels, `KERNEL=LIST` for one. None: none.
        gpu_unchecked: kernels of a GPU run without WebGPU's checks of each access, for files whose hashes are known.
        layers: (first, end), to open a part of a language model: its layers from `first` on, those before `end`, with
            their weights, keys and values alone. None: all. `SplitTextSession` makes one model of two parts.

    Raises:
        CorruptFile: plan or weights are damaged.
        BundleMismatch: the library is for another machine, processor or version, or does not fit the plan.
        UsageError: the bundle has no kernels for `isa`; there is no such device; the model has no such layers.
        DeviceError: the GPU cannot be had, has too little memory or refuses the bundle's kernels.
        NotEnoughMemory: the weights do not fit.
        StorageError: a file cannot be read.
    """

    info: ModelInfo

    def __init__(
        self,
        bundle_dir: str | os.PathLike[str],
        *,
        use_mmap: bool = False,
        progress: Callable[[int, int], None] | None = None,
        load_threads: int = 0,
        memory_limit_bytes: int = 0,
        isa: str | None = None,
        device: str = "cpu",
        gpu_library: str | os.PathLike[str] | None = None,
        gpu_features: str | None = None,
        gpu_unchecked: bool = False,
        layers: tuple[int, int] | None = None,
    ) -> None:
        loading = Loading(
            bundle_dir,
            use_mmap=use_mmap,
            load_threads=load_threads,
            memory_limit_bytes=memory_limit_bytes,
            isa=isa,
            device=device,
            gpu_library=gpu_library,
            gpu_features=gpu_features,
            gpu_unchecked=gpu_unchecked,
            layers=layers,
        )
        self._take(loading, progress)

    @classmethod
    def _of(cls, loading: Loading, progress: Callable[[int, int], None] | None) -> Model:
        model = cls.__new__(cls)
        model._take(loading, progress)
        return model

    def _take(self, loading: Loading, progress: Callable[[int, int], None] | None) -> None:
        opened = loading._wait(progress)
        self._loading_again = loading._again
        self.path = loading._path
        self._handle: ModelHandle | None = opened
        self.info = ModelInfo.from_json(opened.library.hearth_describe(opened.pointer))
        self._sessions: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None

    @property
    def placed_bytes(self) -> int:
        """Bytes of the weights on the device that it was placed on."""
        return self.info.weights_bytes

    @property
    def weights_huge_bytes(self) -> int:
        """Bytes of the weights that lie in huge pages now; 0 where the system does not tell."""
        handle = self.handle()
        return int(handle.library.hearth_weights_huge_bytes(handle.pointer))

    def close(self) -> None:
        """Closes the model and every session of it. Memory goes back once no view that a session gave out is left."""
        for session in list(self._sessions):
            session.close()
        self._handle = None

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def handle(self) -> ModelHandle:
        """The model as the C API knows it, for this room.

        Raises:
            UsageError: the model is closed.
        """
        if self._handle is None:
            raise UsageError("The model is closed.")
        return self._handle

    def reopen(self) -> None:
        """Opens the bundle anew, as it was opened, on a device that was lost: sessions are to be begun anew, too.

        Raises: as the constructor; the model is then as it was.
        """
        self.handle()
        self._handle = self._loading_again()._wait(None)

    def add_session(self, session: Any) -> None:
        """Remembers a session, to close it with the model."""
        self._sessions.add(session)


def _gpu_library(device: str, given: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """What drives the device, where something has to."""
    return gpu_driver.find() if given is None and device != "cpu" else given


def _layers(layers: tuple[int, int] | None) -> tuple[int, int]:
    """As the C API takes them, for which 0 and 0 are all."""
    if layers is None:
        return 0, 0
    first, end = layers
    if not 0 <= first < end < 1 << 32:
        raise UsageError(f"layers is {layers}, but must be the first and the one behind the last, in ascending order.")
    return first, end


def _close(library: ctypes.CDLL, pointer: int | None) -> None:
    library.hearth_close(pointer)
    binding.unload_library(library)
