"""The profile that `hearth bench --profile` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hearth.cli.table import print_facts, print_table

if TYPE_CHECKING:
    from hearth.measure import PhaseProfile, Profile
    from hearth.measure.gpu_profile import GpuProfile

_HEADS = (
    "what", "kernel", "calls", "time", "of all", "MB", "GB/s", "Mop", "Gop/s", "op/byte", "bound by", "of that",
)  # fmt: skip


def print_profile(profile: Profile) -> None:
    """Prints a table for each phase, longest kernels first, and what is between the kernels."""
    limits = profile.limits
    print_facts(
        [
            ("model", f"{profile.model} ({profile.quant}, head {profile.head}, {profile.precision}, KV {profile.kv})"),
            ("runs", f"{profile.threads} threads, {profile.isa}; the fastest quarter of the forwards"),
            ("memory", f"{limits.read_gb_s:.1f} GB/s read"),
            ("compute", f"{limits.int8_gop_s:.0f} Gop/s of bytes, {limits.float32_gop_s:.0f} Gop/s of 32-bit floats"),
        ]
    )
    for phase in profile.phases:
        click.echo()
        click.echo(_title(phase))
        print_table(_HEADS, _rows(phase))


def print_gpu_profile(profile: GpuProfile) -> None:
    """Prints a table of kernels for each phase, longest first."""
    print_facts([("model", profile.model), ("device", profile.device), ("driver", profile.driver)])
    for phase in profile.phases:
        click.echo()
        speed = phase.tokens / phase.time_us * 1e6
        what = f"prefill of {phase.tokens} tokens" if phase.name == "prefill" else f"a token after {phase.context}"
        click.echo(f"{what}: {_time(phase.time_us)}, {speed:.1f} tok/s")
        click.echo(
            f"a call: {phase.dispatches} dispatches, encoded in {_time(phase.encode_us)};"
            f" {phase.written_bytes} bytes written, {phase.read_bytes} read"
        )
        read, once = phase.weight_bytes / 1e6, phase.weight_bytes / phase.time_us / 1e3
        click.echo(f"weights: {read:.1f} MB, {once:.1f} GB/s of the whole time")
        total = sum(kernel.time_us for kernel in phase.kernels)
        rows = [
            [k.role, k.kernel, k.variant, f"{k.dispatches}", _time(k.time_us) if total else "-",
             f"{100 * k.time_us / total:.1f}%" if total else "-", f"{k.weight_bytes / 1e6:.1f}",
             f"{k.weight_bytes / k.time_us / 1e3:.1f}" if total and k.time_us else "-"]
            for k in phase.kernels
        ]  # fmt: skip
        print_table(("what", "kernel", "variant", "dispatches", "time", "of all", "MB", "GB/s"), rows)


def _title(phase: PhaseProfile) -> str:
    if phase.name == "prefill":
        speed = phase.tokens / phase.time_us * 1e6
        return f"prefill of {phase.tokens} tokens: {_time(phase.time_us)}, {speed:.1f} tok/s"
    at_once = f", {phase.tokens} sequences at once" if phase.tokens > 1 else ""
    speed = phase.tokens / phase.time_us * 1e6
    return f"a decode step after {phase.context} tokens{at_once}: {_time(phase.time_us)}, {speed:.1f} tok/s"


def _rows(phase: PhaseProfile) -> list[list[str]]:
    rows = [
        [
            k.role,
            k.kernel,
            f"{k.calls}",
            _time(k.time_us),
            f"{100 * k.share:.1f}%",
            f"{k.mbytes:.2f}",
            f"{k.gb_s:.1f}",
            f"{k.mops:.1f}",
            f"{k.gop_s:.1f}",
            f"{k.intensity:.1f}",
            k.limit if k.limit == "memory" else k.arithmetic,
            f"{100 * k.limit_share:.0f}%",
        ]
        for k in phase.kernels
    ]
    for name, time_us in (("between kernels", phase.between_us), ("engine", phase.engine_us)):
        rows.append([name, "", "", _time(time_us), f"{100 * time_us / phase.time_us:.1f}%", *[""] * 7])
    return rows


def _time(time_us: float) -> str:
    return f"{time_us:.1f} us" if time_us < 1000 else f"{time_us / 1000:.2f} ms"
