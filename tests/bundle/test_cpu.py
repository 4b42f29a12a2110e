"""What this machine is. If these fail, a bundle is started on a processor that cannot run it, and dies silently."""

from __future__ import annotations

import pytest

from hearth.bundle import cpu


def test_cpuinfo_x86() -> None:
    text = "processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu avx2 fma avx512f\n"
    assert cpu.parse_cpuinfo(text) == {"fpu", "avx2", "fma"}  # what only some cores have does not count


def test_cpuinfo_arm() -> None:
    assert cpu.parse_cpuinfo("processor : 0\nFeatures : fp asimd asimddp i8mm\n") == {"fp", "asimd", "asimddp", "i8mm"}


def test_cpuinfo_that_says_nothing() -> None:
    """RISC-V and some sandboxes have no such line: unknown, not featureless."""
    assert cpu.parse_cpuinfo("processor : 0\nisa : rv64imafdc\n") is None


def test_sysctl_apple_silicon() -> None:
    text = "hw.optional.arm64: 1\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nhw.optional.neon: 1\n"
    assert cpu.parse_sysctl(text) == {"asimd", "fp", "asimddp"}


def test_sysctl_intel_mac() -> None:
    text = "machdep.cpu.features: FPU SSE4.1 AVX1.0 FMA F16C\nmachdep.cpu.leaf7_features: BMI2 AVX2 AVX512VNNI\n"
    assert cpu.parse_sysctl(text) == {"fpu", "sse4_1", "avx", "fma", "f16c", "bmi2", "avx2", "avx512_vnni"}
    assert cpu.parse_sysctl("") is None


@pytest.mark.parametrize(
    ("target", "architecture", "system"),
    [
        ("x86_64-linux-gnu", "x86_64", "linux"),
        ("x86_64-unknown-linux-musl", "x86_64", "linux"),
        ("aarch64-apple-darwin", "aarch64", "macos"),
        ("arm64-apple-macos11", "aarch64", "macos"),
        ("x86_64-windows-gnu", "x86_64", "windows"),
        ("wasm32-freestanding", "wasm32", None),
    ],
)
def test_triples(target: str, architecture: str, system: str | None) -> None:
    assert cpu.architecture(target.partition("-")[0]) == architecture
    assert cpu.triple_system(target) == system
