"""A small bundle for tests: the right files, with no meaning in them."""

from __future__ import annotations

from pathlib import Path

from hearth.bundle import (
    ABI_VERSION,
    FORMAT_VERSION,
    Bundle,
    BundleWriter,
    InstructionSet,
    Manifest,
    ModelFacts,
    TextFacts,
    cpu,
)

TARGET = f"{cpu.architecture()}-{cpu.operating_system()}-gnu"


def manifest(**changes: object) -> Manifest:
    """A manifest without files for this machine, with `changes`."""
    values: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "abi_version": ABI_VERSION,
        "hearth_version": "0.1.0",
        "compilers": {"tvm": "0.27.0.post1", "zig": "0.15.1"},
        "target": TARGET,
        "instruction_sets": (InstructionSet("generic", ()),),
        "source_name": "me/My model",
        "source_fingerprint": "0123abcd",
        "kind": "text",
        "family": "llama",
        "quant": "q4",
        "precision": "int8",
        "facts": ModelFacts(parameters=1000, weights_bytes=4096, arena_bytes=64),
        "text": TextFacts(
            head="q8",
            kv="f16",
            layers=2,
            layer_bytes=1024,
            vocab_size=512,
            context_max=8192,
            kv_bytes_per_token=256,
            state_bytes=0,
            sees=False,
            predicts=0,
        ),
        "files": {},
    }
    return Manifest(**(values | changes))  # type: ignore[arg-type]


def fill(writer: BundleWriter, weights: int = 4096) -> None:
    """Write the files that every bundle has."""
    writer.write("plan.bin", b"HRTHPLAN")
    writer.write("libhearth.so", b"\x7fELF")
    writer.allocate("weights.bin", weights)[:] = 7


def write_bundle(path: Path, *, replace_existing: bool = False, **changes: object) -> Bundle:
    """A whole bundle at `path`."""
    with BundleWriter(path, replace_existing=replace_existing) as writer:
        fill(writer)
        return writer.commit(manifest(**changes))
