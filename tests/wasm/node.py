"""A bundle for WebAssembly in Node, run by the npm package as it is built: a session with the face of `TextSession`."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearth.compiler.cpu.targets import ISAS, Isa

HERE = Path(__file__).parent
NODE = next((path for path in map(shutil.which, ("node", "nodejs")) if path), None)
DIST = HERE.parents[1] / "web" / "runtime" / "dist"
needs_node = pytest.mark.skipif(NODE is None, reason="needs node")


def _prints(*arguments: str) -> bool:
    if NODE is None:
        return False
    done = subprocess.run([NODE, *arguments], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == "true"


@cache
def node_knows(isa: Isa) -> bool:
    """Whether this Node runs modules for an instruction set (before version 22 none runs all)."""
    module = (DIST / "index.js").as_uri()
    script = f"import {{ hasFeature }} from '{module}'; console.log({list(isa.features)}.every(hasFeature))"
    return _prints("--input-type=module", "--eval", script)


def starts_threads() -> bool:
    """Whether this Node lets the package start workers (from 20.16 on)."""
    return _prints("--eval", "console.log(process.getBuiltinModule !== undefined)")


needs_threads = pytest.mark.skipif(not starts_threads(), reason="needs node 20.16 or later")


def wasm_isas() -> list[Any]:
    """A pytest parameter for each instruction set of WebAssembly, skipped where there is no Node that runs it."""
    params = []
    for isa in ISAS.values():
        if isa.architecture == "wasm32":
            reason = f"needs a node that knows {', '.join(isa.features)}"
            params.append(pytest.param(isa, id=isa.name, marks=pytest.mark.skipif(not node_knows(isa), reason=reason)))
    return params


class Refused(Exception):
    """A HearthError of the package; `kind` as it names it."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["message"] if error["kind"] != "bug" else error["stack"])
        self.kind = error["kind"]


STATES = {"state_from": "stateFrom", "state_to": "stateTo"}


class NodeResult:
    """float32 (rows, vocab_size) and int32 (rows,)."""

    def __init__(self, rows: int, answer: dict[str, str]) -> None:
        self.logits = np.frombuffer(base64.b64decode(answer["logits"]), np.float32).reshape(rows, -1)
        self.argmax = np.frombuffer(base64.b64decode(answer["argmax"]), np.int32)


class NodeSession:
    """A session of the bundle in `folder`, in a process of its own. A context manager.

    Args:
        pages: of the KV cache; 0 for a model that takes no tokens.
        slots: of state, for a model that has such.
        isa: which of its modules to run; None: the best that this Node knows.
        threads: on which it computes.

    Raises (all methods):
        Refused: the package raised an error.
    """

    def __init__(self, folder: Path, pages: int = 0, isa: str | None = None, threads: int = 1, slots: int = 0) -> None:
        assert NODE is not None
        options = json.dumps({"threads": threads, **({"isa": isa} if isa else {})})
        sizes = json.dumps({name: count for name, count in (("pages", pages), ("slots", slots)) if count})
        command = [NODE, str(HERE / "session.mjs"), str(folder), sizes, options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.num_pages, self.num_slots = pages, slots
        about = self._read()
        self.info: dict[str, Any] = about["info"]
        self.device: dict[str, Any] = about["device"]

    def __enter__(self) -> NodeSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def forward(
        self, ids: Any, positions: Any, rows: Any, table: NDArray[np.int32], logit_rows: Any, **states: Any
    ) -> NodeResult:
        """`states` are `state_from` and `state_to`, of a model that has such."""
        arrays = {"tokenIds": ids, "positions": positions, "tokenSeq": rows, "logitRows": logit_rows}
        arrays |= {STATES[name]: slots for name, slots in states.items()}
        numbers = {name: np.asarray(values).tolist() for name, values in arrays.items()}
        answer = self.ask(
            numbers
            | {"blockTable": table.reshape(-1).tolist(), "blockTableStride": table.shape[1]}
            | {"outputs": ["logits", "argmax"]}
        )
        return NodeResult(len(numbers["logitRows"]), answer)

    def run(self, function: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """A function that is no language model's; outputs are f32."""
        dtypes = {"float32": "f32", "int32": "i32", "uint8": "u8", "int8": "i8"}
        given = {
            name: {
                "dtype": dtypes[array.dtype.name],
                "shape": array.shape,
                "data": base64.b64encode(array.tobytes()).decode(),
            }
            for name, array in inputs.items()
        }
        answer = self.ask({"function": function, "inputs": given})
        return {
            name: np.frombuffer(base64.b64decode(each["data"]), np.float32).reshape(each["shape"])
            for name, each in answer.items()
        }

    def describe(self) -> bytes:
        """What the plan says of itself, as `hearth_describe` does."""
        return json.dumps(self.info).encode()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer
