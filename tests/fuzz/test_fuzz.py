"""Each reader of what strangers send, with a few hundred inputs: an error of Hearth's comes out, or a sound answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from . import (
    fuzz_arrays,
    fuzz_batch_lines,
    fuzz_bundle,
    fuzz_chat_import,
    fuzz_folder,
    fuzz_gguf_settings,
    fuzz_http,
    fuzz_onnx,
    fuzz_pictures,
    fuzz_pt2,
    fuzz_quantised,
    fuzz_schemas,
    fuzz_sentencepiece,
    fuzz_store,
    fuzz_templates,
    fuzz_tokenizer_json,
    fuzz_torch,
)
from .harness import Target, try_one

COUNTS: dict[Any, int] = {
    fuzz_arrays: 400,
    fuzz_batch_lines: 400,
    fuzz_bundle: 400,
    fuzz_chat_import: 300,
    fuzz_folder: 200,
    fuzz_gguf_settings: 300,
    fuzz_http: 150,
    fuzz_onnx: 400,
    fuzz_pictures: 400,
    fuzz_pt2: 60,
    fuzz_quantised: 300,
    fuzz_schemas: 200,
    fuzz_sentencepiece: 200,
    fuzz_store: 200,
    fuzz_templates: 150,
    fuzz_tokenizer_json: 150,
    fuzz_torch: 400,
}


@pytest.mark.parametrize("module", COUNTS, ids=lambda module: module.TARGET.name)
def test_nothing_but_hearths_own_errors_comes_out(module: Any, tmp_path: Path, cache: Path) -> None:
    target: Target[Any] = module.TARGET
    with target.opened(tmp_path) as run:
        for seed in range(COUNTS[module]):
            try_one(target, run, seed)
