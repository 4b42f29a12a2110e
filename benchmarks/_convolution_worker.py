"""The peers' side of convolutions.py: chains of equal layers, timed one run at a time when asked for.

One JSON object a line in, one value a line out: {"names": true}, {"layer": ..., "kind": ...}, {"run": name} -> seconds
of one layer.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

CHAIN = 8


def network(size: list[int], channels: int, kernel: int, kind: str) -> bytes:
    """Convolution and ReLU, `CHAIN` times; for int8 each reads quantised numbers and has quantised weights."""
    rng = np.random.default_rng(0)
    nodes, constants, x = [], [], "input"

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    for i in range(CHAIN):
        shape = (channels, channels, kernel, kernel)
        if kind == "int8":
            scale = [constant(f"scale{i}", np.float32(0.02)), constant(f"zero{i}", np.uint8(0 if i else 128))]
            nodes.append(helper.make_node("QuantizeLinear", [x, *scale], [f"bytes{i}"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"bytes{i}", *scale], [f"numbers{i}"]))
            own = [constant(f"integers{i}", rng.integers(-127, 128, shape).astype(np.int8)),
                   constant(f"steps{i}", np.full(channels, 1e-3, np.float32)),
                   constant(f"zeros{i}", np.zeros(channels, np.int8))]  # fmt: skip
            nodes.append(helper.make_node("DequantizeLinear", own, [f"weight{i}"], axis=0))
            x = f"numbers{i}"
        else:
            constant(f"weight{i}", rng.standard_normal(shape).astype(np.float32) / 50)
        bias = constant(f"bias{i}", rng.standard_normal(channels).astype(np.float32))
        inputs, pads = [x, f"weight{i}", bias], [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", inputs, [f"sum{i}"], kernel_shape=[kernel, kernel], pads=pads))
        nodes.append(helper.make_node("Relu", [f"sum{i}"], [f"output{i}"]))
        x = f"output{i}"
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, *size])
    wanted = helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, channels, *size])
    graph = helper.make_graph(nodes, "chain", [given], [wanted], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def runners(layer: dict[str, Any], kind: str) -> dict[str, Callable[[], Any]]:
    model = network(layer["size"], layer["channels"], layer["kernel"], kind)
    x = np.random.default_rng(1).standard_normal((1, layer["channels"], *layer["size"])).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    hints = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(model), "CPU", hints).create_infer_request()
    found = {"OpenVINO": lambda: request.infer({0: x}), "ONNX Runtime": lambda: session.run(None, {"input": x})}
    for run in found.values():
        run()
    return found


def main() -> None:
    found: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        question = json.loads(line)
        answer: Any = ["OpenVINO", "ONNX Runtime"]
        if "layer" in question:
            found, answer = runners(question["layer"], question["kind"]), None
        elif "run" in question:
            start = time.perf_counter()
            found[question["run"]]()
            answer = (time.perf_counter() - start) / CHAIN
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
