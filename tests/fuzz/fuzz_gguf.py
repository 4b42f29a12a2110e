"""Coverage-guided fuzzing of the GGUF and safetensors readers with atheris; run by hand, not by pytest.

    pip install atheris
    python tests/fuzz/fuzz_gguf.py --hearth-format=gguf -max_total_time=600 -max_len=65536 CORPUS_DIR
    python tests/fuzz/fuzz_gguf.py --hearth-format=safetensors -max_total_time=600 -max_len=65536 CORPUS_DIR

An empty CORPUS_DIR is filled with sound files first. What must hold for any file under 1 MiB: only `HearthError` comes
out, no run takes over 1 s (`-timeout=1` makes libFuzzer report it) or allocates over 64 MiB (`-malloc_limit_mb=64`);
both are set here unless given. Hearth's tokenizer conversions are part of the run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

with atheris.instrument_imports(include=["hearth"]):
    from checkpoint import builders
    from hearth.checkpoint import open_checkpoint
    from hearth.errors import HearthError

_FORMAT_OPTION = "--hearth-format="
_DEFAULTS = ("-timeout=1", "-malloc_limit_mb=64", "-max_len=65536")


def seeds(name: str) -> list[bytes]:
    """Sound files to start from."""
    if name == "gguf":
        pieces = builders.spm_vocabulary("▁ab", "ab", "▁")
        return [
            builders.gguf_model(),
            builders.gguf_bytes(builders.spm_metadata(pieces)),
            builders.gguf_bytes(builders.spm_metadata(pieces[:3] + pieces[259:])),
        ]
    return [builders.safetensors_bytes({"w": builders.entry("BF16", (2, 3), 0, 12)}, bytes(12))]


def main() -> None:
    name = next((arg[len(_FORMAT_OPTION) :] for arg in sys.argv if arg.startswith(_FORMAT_OPTION)), "gguf")
    if name not in ("gguf", "safetensors"):
        sys.exit(f"{_FORMAT_OPTION}gguf or {_FORMAT_OPTION}safetensors, not {name}")
    arguments = [arg for arg in sys.argv if not arg.startswith(_FORMAT_OPTION)]
    arguments += [d for d in _DEFAULTS if not any(a.startswith(d.split("=")[0] + "=") for a in arguments)]
    for folder in (Path(arg) for arg in arguments[1:] if not arg.startswith("-")):
        folder.mkdir(exist_ok=True)
        if not any(folder.iterdir()):
            for number, seed in enumerate(seeds(name)):
                (folder / f"seed{number}").write_bytes(seed)

    scratch = Path(tempfile.mkdtemp(prefix="hearth-fuzz-"))
    target = scratch / "model.gguf" if name == "gguf" else scratch / "model.safetensors"
    if name == "safetensors":
        (scratch / "config.json").write_text('{"model_type": "llama"}')

    def one_input(data: bytes) -> None:
        target.write_bytes(data)
        try:
            checkpoint = open_checkpoint(target if name == "gguf" else scratch)
            for key in checkpoint.config:
                checkpoint.config.get(key)
            for tensor, info in checkpoint.tensors.items():
                assert checkpoint.raw(tensor).size == info.size_bytes
            checkpoint.tokenizer()
        except HearthError:
            pass

    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
