"""Repositories for tests: made of noise, since the hub room does not look into a model's files."""

from __future__ import annotations

import random

REPO = "acme/tiny"
NEEDED = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors",
}


def noise(size_bytes: int, seed: int = 0) -> bytes:
    """Content in which any two places differ."""
    return random.Random(seed).randbytes(size_bytes)


def model_files(weights_bytes: int = 300_000, seed: int = 0) -> dict[str, bytes]:
    """A repository as authors publish it: what Hearth needs, and what it does not."""
    return {
        "config.json": b'{"model_type": "llama"}',
        "generation_config.json": b"{}",
        "tokenizer.json": b'{"version": "1.0"}',
        "tokenizer_config.json": b'{"bos_token": null}',
        "chat_template.jinja": b"{{ messages }}",
        "model.safetensors": noise(weights_bytes, seed),
        "README.md": b"# Tiny",
        "pytorch_model.bin": noise(1000, 1),
        "consolidated.safetensors": noise(1000, 2),
        "original/consolidated.00.pth": noise(1000, 3),
        "onnx/model.onnx": noise(1000, 4),
        "onnx/config.json": b"{}",
    }
