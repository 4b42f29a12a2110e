#!/usr/bin/env python3
"""Convolutions of a ResNet layer by layer on one thread, in int8 or f32, against OpenVINO and ONNX Runtime.

    python benchmarks/convolutions.py --peers-python .cache/peers-venv/bin/python [--isa avx2] [--kind float32]

Peers run a chain of eight equal layers with ReLUs, so that what they do once to a network's input and output counts an
eighth: int8 as QDQ with scales that are known beforehand. Hearth's time is that of one layer with its preparation: the
range of the map, its quantisation, the convolution. All take turns; told is the least of all rounds (a turn is so short
that whoever else uses the machine is in some of them and not in others), and the share of the peak that this processor
was measured to have in the same rounds.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.bundle.cpu import features
from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.kernels.conv import ConvSpec, conv
from hearth.compiler.cpu.kernels.conv_geometry import conv2d
from hearth.compiler.cpu.kernels.conv_prepare import PrepareMapSpec, map_range, prepare_map
from hearth.compiler.cpu.kernels.peak import peak_float32, peak_int8
from hearth.compiler.cpu.link import host_target
from hearth.compiler.cpu.objects import kernel_objects
from hearth.compiler.cpu.targets import ISAS, Isa, best_isa
from hearth.quant import round_up
from hearth.quant.convolution import ConvKind, ConvWeight

LAYERS = [
    {"size": size, "channels": channels, "kernel": 3}
    for size, channels in (((120, 160), 64), ((60, 80), 128), ((30, 40), 256), ((15, 20), 512), ((56, 56), 64),
                           ((28, 28), 128), ((14, 14), 256), ((7, 7), 512))
]  # fmt: skip
"""The 3x3 layers of ResNet-50 at 480 x 640 and at 224 x 224."""
PEAK_OPERATIONS = 12288 * 40000


class Kernels:
    """Kernels of one instruction set in a library, called with arrays."""

    def __init__(self, isa: Isa, kernels: list[Kernel], folder: Path) -> None:
        functions = {kernel.name: kernel.finish() for kernel in kernels}
        objects = map(str, kernel_objects(functions, host_target(), isa, folder))
        path = folder / "kernels"
        command = [sys.executable, "-m", "ziglang", "cc", "-shared", *objects, "-o", str(path)]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(path))
        self._scratch = aligned((1 << 16,), np.uint8)

    def prepared(self, name: str, buffers: list[NDArray[Any]], scalars: list[int], units: int) -> Callable[[], None]:
        function = getattr(self._library, name)
        numbers = [ctypes.c_int64(number) for number in (0, units, *scalars)]

        def run() -> None:
            pointers = [ctypes.c_void_p(buffer.ctypes.data) for buffer in (*buffers, self._scratch)]
            function(*numbers[:2], *pointers[:-1], *numbers[2:], pointers[-1])

        return run


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros from a multiple of 64 bytes on."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def steps(kernels: Kernels, isa: Isa, kind: ConvKind, layer: dict[str, Any]) -> tuple[list[Callable[[], None]], int]:
    """A layer's steps and the operations of its convolution."""
    (height, width), channels, kernel = layer["size"], layer["channels"], layer["kernel"]
    rng = np.random.default_rng(0)
    weight = ConvWeight(channels, channels, (kernel, kernel), kind=kind)
    what = conv2d(weight, (height, width), padding=(kernel // 2,) * 4)
    numbers = rng.standard_normal((channels, channels, kernel, kernel)).astype(np.float32)
    packed, ld = aligned((weight.size_bytes,), np.uint8), round_up(channels, 16)
    packed[:] = weight.pack(numbers, None)
    x, y = (aligned((height, width, ld), np.float32) for _ in range(2))
    x[..., :channels] = rng.standard_normal((height, width, channels))
    ranges, scales = aligned((height, 2), np.float32), aligned((2,), np.float32)
    source = what.source
    p = aligned((source.image_dwords,), np.int32 if kind == "int8" else np.float32)
    int8 = kind == "int8"
    found = [kernels.prepared("map_range", [x, ranges], [width, channels, ld], height)] if int8 else []
    buffers = [x, *([ranges] if int8 else []), p, *([scales] if int8 else [])]
    found.append(kernels.prepared(PrepareMapSpec(isa, kind).name, buffers, source.prepare_scalars(), source.rows))
    spec = ConvSpec(isa, kind, activation="relu")
    units = what.units(1, spec.blocks)
    found.append(kernels.prepared(spec.name, [p, *([scales] if int8 else []), packed, y], what.scalars(1), units))
    return found, 2 * height * width * channels * channels * kernel * kernel


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


class Peers:
    """The process that runs OpenVINO and ONNX Runtime."""

    def __init__(self, python: str, isa: Isa) -> None:
        # oneDNN has its own names for what it may use.
        limit = {"avx2": "AVX2", "avxvnni": "AVX2_VNNI", "avx512vnni": "AVX512_CORE_VNNI"}.get(isa.name, "DEFAULT")
        command = [
            "env",
            f"ONEDNN_MAX_CPU_ISA={limit}",
            python,
            str(Path(__file__).with_name("_convolution_worker.py")),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", help="of an environment with openvino, onnxruntime and onnx")
    parser.add_argument("--isa", choices=list(ISAS))
    parser.add_argument("--kind", choices=["int8", "float32"], default="int8")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()

    isa = ISAS[options.isa] if options.isa else best_isa(host_target(), features() or frozenset())
    peers = Peers(options.peers_python, isa) if options.peers_python else None
    peak = (peak_int8 if options.kind == "int8" else peak_float32)(isa)
    made = [conv(ConvSpec(isa, options.kind, activation="relu")), prepare_map(PrepareMapSpec(isa, options.kind)), peak]
    with tempfile.TemporaryDirectory() as folder:
        kernels = Kernels(isa, [*made, map_range()], Path(folder))
        fastest = kernels.prepared(peak.name, [], [PEAK_OPERATIONS], 1)
        names = peers.ask(names=True) if peers else []
        print(f"{isa.name}, {options.kind}, one thread: milliseconds a layer, least of {options.rounds} rounds")
        for layer in LAYERS:
            work, operations = steps(kernels, isa, options.kind, layer)
            if peers:
                peers.ask(layer=layer, kind=options.kind)
            times: dict[str, list[float]] = {name: [] for name in ("peak", "conv", "layer", *names)}
            for _ in range(options.rounds):
                times["peak"].append(seconds(fastest))
                parts = [seconds(step) for step in work]
                times["conv"].append(parts[-1])
                times["layer"].append(sum(parts))
                for name in names:
                    times[name].append(peers.ask(run=name))  # type: ignore[union-attr]
            least = {name: min(values) for name, values in times.items()}
            share = operations / least["conv"] / (PEAK_OPERATIONS / least["peak"])
            size = "x".join(map(str, (*layer["size"], layer["channels"])))
            text = f"{size:>12}: conv {least['conv'] * 1e3:.3f} ({share:.0%} of peak), layer {least['layer'] * 1e3:.3f}"
            others = [f"{name} {least[name] * 1e3:.3f} ({least[name] / least['layer']:.2f}x)" for name in names]
            print("; ".join([text, *others]), flush=True)


if __name__ == "__main__":
    main()
