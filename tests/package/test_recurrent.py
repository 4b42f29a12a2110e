"""A model with recurrent layers that is packaged by one command chats in a browser as natively, on the processor and on
a GPU that a program plays."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compiler.compiled import compile_here, shared_cache
from tests.package.site_server import PATIENCE_MS, SiteServer, begin, visit, write
from tests.wasm.gpu_page import needs_chromium
from tests.web.browsers import launched

from golden import CASES
from hearth import LLM
from hearth.cli.main import run
from hearth.sizes import KEPT_STATES

pytestmark = needs_chromium

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
SAID = ("who?", "go on.")
ANSWER_TOKENS = 24
SHAPE = {"quant": "f32", "head": "f32", "precision": "high"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen 3.5's golden model, that of most who chat, with a tokenizer of letters."""
    folder = tmp_path_factory.mktemp("model") / "qwen3_5"
    shutil.copytree(next(case.path for case in CASES if case.name == "qwen3_5"), folder)
    vocab = {text: number for number, text in enumerate(("<s>", "</s>", "<unk>", *string.ascii_lowercase, *"ĠĊ:.?!,"))}
    special = [{"id": number, "content": text, "special": True} for text, number in list(vocab.items())[:3]]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer = {
        "version": "1.0", "added_tokens": [
            {**each, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False} for each in special
        ],
        "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": [], "unk_token": "<unk>"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def site(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    options = [part for name, value in SHAPE.items() for part in (f"--{name}", value)]
    with shared_cache():
        assert run(["package", "web", str(model), *options, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def expected(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What it answers natively, turn by turn."""
    bundle = compile_here(model, tmp_path_factory.mktemp("native") / "bundle", **SHAPE)
    messages: list[dict[str, str]] = []
    with LLM(bundle, threads=2, repetition_stop=False, trust_bundle=True) as llm:
        for text in SAID:
            messages.append({"role": "user", "content": text})
            answer = llm.chat(messages, max_tokens=ANSWER_TOKENS, temperature=0.0).text
            messages.append({"role": "assistant", "content": answer})
    return [message["content"] for message in messages if message["role"] == "assistant"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched("chromium", gpu=True) as opened:
        yield opened


@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_it_chats_as_natively(browser: Any, site: Path, expected: list[str], device: str) -> None:
    server = SiteServer(site)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = visit(context, f"{server.url}?device={device}")
        begin(page)
        page.get_by_text("Settings").click()
        write(page.get_by_label("Temperature"), "0")
        write(page.get_by_label("Longest answer"), str(ANSWER_TOKENS))
        box = page.get_by_role("textbox", name="Message")
        for turn, (text, answer) in enumerate(zip(SAID, expected, strict=True)):
            box.fill(text)
            box.press("Enter")
            page.get_by_role("button", name="Stop").wait_for(state="detached")
            page.wait_for_function("!document.querySelector('main').matches('[aria-busy=true]')")
            shown = page.locator(".answer-text, .answer .md").nth(turn)
            assert shown.evaluate("element => element.textContent").strip() == answer.strip()
        says = page.locator(".disclaimer").inner_text()
        assert says.startswith("On this device's GPU" if device == "webgpu" else "On this device's processor")
        assert ("It was checked." in says) == (device == "webgpu")
    finally:
        context.close()
        server.close()


def test_the_page_tells_of_the_memory_of_states(browser: Any, site: Path) -> None:
    told = json.loads((site / "model.json").read_text())
    assert told["state_bytes"] > 0
    keys_and_values = told["context"] * told["kv_bytes_per_token"]
    needed = told["weights_bytes"] + told["arena_bytes"] + keys_and_values + KEPT_STATES * told["state_bytes"]
    server = SiteServer(site)
    try:
        page = visit(browser.new_context(), server.url)
        shown = page.locator("dt:text-is('Memory while it runs') + dd").inner_text()
        assert shown == f"{needed / 1e6:.1f} MB"
        page.context.close()
    finally:
        server.close()
