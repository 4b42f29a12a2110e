"""The npm package in a page of a browser, whose GPU a program plays: sessions with the face of `TextSession`."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.serving import Handler, serving
from tests.wasm.node import STATES, Refused
from tests.web.browsers import BROWSERS, CHROMIUM

HERE = Path(__file__).parent
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
# Of a module: its tests run in each browser, and skip where the machine lacks that.
in_all_browsers = pytest.mark.parametrize("gpu_browser", BROWSERS, indirect=True)

_PAGE = b'<!doctype html><title>Hearth</title><script type="module" src="/gpu_page.js"></script>'

_DTYPES = {"float32": "f32", "int32": "i32", "uint8": "u8", "int8": "i8"}
_PATIENCE_MS = 300_000


class _Handler(Handler):
    """The built package at /runtime, test bundles at /bundles."""

    def __init__(self, *args: Any, roots: Mapping[str, Path], **keywords: Any) -> None:
        self._roots = roots
        super().__init__(*args, **keywords)

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)

    def translate_path(self, path: str) -> str:
        first, _, rest = path.lstrip("/").partition("/")
        root = self._roots.get(first)
        return str(root / rest if rest else root) if root else "/nowhere"


class Page:
    """A page with the package. Models and sessions of it are numbers there.

    Raises (all methods):
        Refused: the package raised an error.
    """

    def __init__(self, page: Any, roots: dict[str, Path]) -> None:
        self._page = page
        self._roots = roots

    def ask(self, what: str, **asked: Any) -> Any:
        answer = self._page.evaluate("([what, asked]) => ask(what, asked)", [what, asked])
        if isinstance(answer, dict) and "error" in answer:
            raise Refused(answer["error"])
        return answer

    def limit_buffers(self, label: str | None) -> None:
        """From now on there is no memory for buffers with a label; None: there is again."""
        self.ask("limitBuffers", label=label)

    def open(self, folder: Path, **options: Any) -> PageModel:
        """`loadBundle` with its options, by default on the GPU that there is."""
        name = f"bundle{len(self._roots)}"
        self._roots[name] = folder
        options = {"device": "webgpu", "softwareGpu": True} | options
        return PageModel(self, self.ask("open", url=f"/{name}", options=options))


class PageModel:
    """Attributes: `info` of hearth_describe; `device` that computes; `progress` as it was told."""

    def __init__(self, page: Page, about: dict[str, Any]) -> None:
        self.page = page
        self.number: int = about["model"]
        self.info: dict[str, Any] = about["info"]
        self.device: dict[str, Any] = about["device"]
        self.progress: list[tuple[int, int]] = about["progress"]
        self.memory_bytes: int = about["memoryBytes"]

    def session(self, **sizes: int) -> PageSession:
        return PageSession(self.page, self.page.ask("session", model=self.number, sizes=sizes)["session"], sizes)

    def generate(self, prompts: list[list[int]], **params: Any) -> list[list[int]]:
        """What the package's engine writes after prompts, all at the same time."""
        return self.generated(prompts, {}, **params).tokens

    def generated(self, prompts: list[list[int]], engine: Mapping[str, Any], **params: Any) -> Generated:
        """The same with options of the engine, and what it had the GPU do."""
        ((answers,), told) = self._generate([prompts], engine, params)
        return Generated([each["tokens"] for each in answers], *told)

    def converse(
        self, rounds: list[list[list[int]]], engine: Mapping[str, Any], **params: Any
    ) -> list[list[tuple[list[int], int]]]:
        """What one engine writes after prompts, those of a round at the same time; of each the tokens, and how many of
        the prompt were not computed again."""
        answers, _ = self._generate(rounds, engine, params)
        return [[(each["tokens"], each["cached"]) for each in part] for part in answers]

    def _generate(self, rounds: list[list[list[int]]], engine: Mapping[str, Any], params: Any) -> tuple[Any, Any]:
        answer = self.page.ask("generate", model=self.number, rounds=rounds, params=params, engine=engine)
        return answer["answers"], [answer[name] for name in ("submits", "readBacks", "readBytes", "nudges")]

    def close(self) -> None:
        self.page.ask("closeModel", model=self.number)


class Generated(NamedTuple):
    tokens: list[list[int]]
    submits: int
    read_backs: int
    read_bytes: int
    nudges: int


class PageResult:
    """float32 (rows, vocab_size), int32 (rows,), float32 (tokens, hidden_size); float32 and int32 (rows, n)."""

    def __init__(self, tokens: int, rows: int, answer: dict[str, str]) -> None:
        self.logits = _array(answer["logits"], np.float32).reshape(rows, -1) if answer["logits"] else _NONE
        self.argmax = _array(answer["argmax"], np.int32)
        self.hidden = _array(answer["hidden"], np.float32).reshape(tokens, -1) if answer["hidden"] else _NONE
        self.likeliest = (
            _array(answer["likeliestLogits"], np.float32).reshape(max(rows, 1), -1),
            _array(answer["likeliestTokens"], np.int32).reshape(max(rows, 1), -1),
        )


class PageSession:
    def __init__(self, page: Page, number: int, sizes: Mapping[str, int]) -> None:
        self._page = page
        self._number = number
        self.num_pages = sizes.get("pages", 0)
        self.num_slots = sizes.get("slots", 0)

    def forward(
        self, ids: Any, positions: Any, rows: Any, table: Any, logit_rows: Any = (), wanted: Any = None, **states: Any
    ) -> PageResult:
        """`states` are `state_from` and `state_to`, of a model that has such."""
        batch = self.batch(ids, positions, rows, table, logit_rows, wanted)
        batch |= {STATES[name]: np.asarray(slots, np.int32).tolist() for name, slots in states.items()}
        return PageResult(len(batch["tokenIds"]), len(batch["logitRows"]), self._page.ask("forward", **batch))

    def decode(self, ids: Any, positions: Any, table: Any, steps: int, submit_ms: float | None = None) -> Any:
        """One token of each sequence, then the likeliest ones: int32 (steps, sequences).

        Args:
            submit_ms: how long a submit may keep the GPU busy; None: for as long as it takes.
        """
        rows = range(len(ids))
        batch = self.batch(ids, positions, rows, table, rows)
        return np.array(self._page.ask("decode", steps=steps, submitMs=submit_ms, **batch)["tokens"], np.int32)

    def batch(
        self, ids: Any, positions: Any, rows: Any, table: Any, logit_rows: Any = (), wanted: Any = None
    ) -> dict[str, Any]:
        """As gpu_page.js takes it."""
        arrays = {"tokenIds": ids, "positions": positions, "tokenSeq": rows, "logitRows": logit_rows}
        pages = np.asarray(table, np.int32)
        return {
            **{name: np.asarray(values, np.int32).tolist() for name, values in arrays.items()},
            "blockTable": pages.reshape(-1).tolist(),
            "blockTableStride": pages.shape[1],
            "outputs": wanted if wanted is None else list(wanted),
            "session": self._number,
        }

    def run(self, function: str, inputs: Mapping[str, NDArray[Any]], dtype: Any = np.int32) -> dict[str, NDArray[Any]]:
        """Args: `dtype` of all outputs."""
        given = {
            name: {"dtype": _DTYPES[a.dtype.name], "shape": a.shape, "data": base64.b64encode(a.tobytes()).decode()}
            for name, a in inputs.items()
        }
        answer = self._page.ask("run", session=self._number, name=function, inputs=given)
        return {name: _array(each["data"], dtype).reshape(each["shape"]) for name, each in answer.items()}

    def counters(self) -> dict[str, int]:
        counters: dict[str, int] = self._page.ask("counters", session=self._number)
        return counters

    def close(self) -> None:
        self._page.ask("closeSession", session=self._number)


_NONE = np.zeros((0, 0), np.float32)


def _array(text: str, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype)


@contextmanager
def open_page(browser: Any) -> Iterator[Page]:
    """A page with an origin of its own, and a GPU: the test skips where there is none. At the end nothing may have been
    thrown without being caught."""
    roots = {"runtime": HERE.parents[1] / "web" / "runtime" / "dist", "gpu_page.js": HERE / "gpu_page.js"}
    errors: list[str] = []
    with serving(partial(_Handler, roots=roots)) as origin, browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(origin)
        page.wait_for_function("globalThis.ask !== undefined")
        if not page.evaluate("navigator.gpu.requestAdapter().then((adapter) => adapter !== null)"):
            pytest.skip("needs a GPU, or a program that plays one (apt-get install mesa-vulkan-drivers)")
        yield Page(page, roots)
        assert errors == []
