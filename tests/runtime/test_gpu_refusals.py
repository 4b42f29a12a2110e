"""What a GPU cannot do is refused with an error that says why, and nothing crashes."""

from __future__ import annotations

import ctypes.util
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime import gpu_plans, tiny_model
from tests.runtime import plan_writer as pw
from tests.runtime.conftest import BundleMaker, GpuOpener, compile_c
from tests.runtime.gpu_plans import READ, WRITE, GpuTextWriter, GpuWriter
from tests.runtime.test_forward import TABLE, one
from tests.runtime.test_gpu import counting

from hearth.compiler.cpu.link import CSRC
from hearth.errors import BundleMismatch, CorruptFile, DeviceError, NotEnoughMemory, StorageError, UsageError
from hearth.runtime import GpuInfo, Model, Session, TextSession, devices, gpu_library


@pytest.mark.parametrize(
    ("device", "error", "said"),
    [
        ("tpu", UsageError, "device is tpu, must be cpu, gpu or gpu:N"),
        ("gpus", UsageError, "device is gpus"),
        ("cpu:0", UsageError, "device is cpu:0"),
        ("gpu:", UsageError, "device is gpu:"),
        ("gpu:-1", UsageError, "device is gpu:-1"),
        ("gpu:1x", UsageError, "device is gpu:1x"),
        ("gpu:64", DeviceError, "there is no gpu:64"),
        ("gpu:99999999999999999999", DeviceError, "there is no gpu:9999"),
    ],
)
def test_devices_that_there_are_not(
    make_bundle: BundleMaker, bare_library: Path, software_gpu: GpuInfo, device: str, error: type, said: str
) -> None:
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    assert software_gpu
    with pytest.raises(error, match=said):
        Model(folder, device=device)


def test_a_library_that_is_none(make_bundle: BundleMaker, bare_library: Path) -> None:
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    for driver, said in (
        ("/nowhere/libwgpu_native.so", "libwgpu_native, which cannot be loaded: /nowhere"),
        (ctypes.util.find_library("m") or "libm.so.6", "has no function wgpu"),
    ):
        with pytest.raises(DeviceError, match=said):
            Model(folder, device="gpu", gpu_library=driver)
    with pytest.raises(DeviceError, match="cannot be loaded"):
        devices(bare_library, driver=Path("/nowhere/libwgpu_native.so"))


def test_a_library_of_another_version(
    make_bundle: BundleMaker, bare_library: Path, software_gpu: GpuInfo, tmp_path: Path
) -> None:
    """Its structures would be others."""
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    names = re.findall(r"    X\([^,]+, (\w+),", (CSRC / "gpu_webgpu.h").read_text(encoding="ascii"))
    source = "".join(f"unsigned wgpu{name}(void) {{ return 0x1b000000u; }}\n" for name in names)
    (tmp_path / "older.c").write_text(source, encoding="ascii")
    driver = compile_c(tmp_path / "older.c", tmp_path / "libolder.so", "-shared")
    assert software_gpu
    with pytest.raises(DeviceError, match=r"libolder\.so is version 27 of wgpu-native, must be 29"):
        Model(folder, device="gpu", gpu_library=driver)


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"wgpu, which brings libwgpu_native, is missing.*\[gpu\]"):
        gpu_library.find()


def text_of(p: GpuWriter) -> str:
    return "".join(p.shaders)


Damage = Callable[[str], str]


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (lambda t: "", BundleMismatch, "kernel t_embed, which gpu_kernels.wgsl does not have"),
        (lambda t: t.replace("//@ t_argmax", "//@ t_argmin"), BundleMismatch, "asks for kernel t_argmax"),
        (lambda t: t.replace(" core\n", " f16\n", 1), BundleMismatch, "asks for kernel t_embed"),
        (lambda t: "fn stray() {}\n" + t, CorruptFile, "line 1: text that belongs to no shader"),
        (lambda t: t.replace("t_embed 8 core", "t_embed 8", 1), CorruptFile, "line 1: must be //@ NAME THREADS"),
        (lambda t: t.replace("t_embed 8 core", "t_embed 8 core x", 1), CorruptFile, "line 1: must be //@"),
        (lambda t: t.replace("t_embed 8 core", "t_embed  8 core", 1), CorruptFile, "line 1: must be //@"),
        (lambda t: t.replace("t_embed 8 core", "9embed 8 core", 1), CorruptFile, "line 1: its name is no name"),
        (lambda t: t.replace("t_embed 8 core", "t-embed 8 core", 1), CorruptFile, "line 1: its name is no name"),
        (lambda t: t.replace("t_embed 8 core", "t_embed 0 core", 1), CorruptFile, "threads must be 1 to 256"),
        (lambda t: t.replace("t_embed 8 core", "t_embed 257 core", 1), CorruptFile, "threads must be 1 to 256"),
        (lambda t: t.replace("t_embed 8 core", "t_embed 99999999999 core", 1), CorruptFile, "threads must be"),
        (lambda t: t.replace("t_embed 8 core", "t_embed 8 f16+", 1), CorruptFile, r"unknown features f16\+"),
        (lambda t: t.replace("t_embed 8 core", "t_embed 8 f64", 1), CorruptFile, "unknown features f64"),
        (lambda t: t.replace("unit", "u\0it", 1), CorruptFile, "it is no text at byte"),
        (lambda t: t.replace("unit", "u\udcffit", 1), CorruptFile, "it is no text at byte"),
        (lambda t: t.replace("{", "(", 1), DeviceError, "cannot be compiled: .*'t_embed'.*error"),
        (lambda t: t.replace("fn t_scale", "fn t_other", 1), DeviceError, "cannot be compiled: .*'t_scale'"),
        (
            lambda t: t.replace("workgroup_size(8)", "workgroup_size(100000)", 1),
            DeviceError,
            "cannot be compiled: .*'t_embed'",
        ),
        (lambda t: t[: len(t) // 2], BundleMismatch, "asks for kernel t_logits"),
    ],
)
def test_damaged_shaders(
    make_bundle: BundleMaker, bare_library: Path, software_gpu: GpuInfo, damage: Damage, error: type, said: str
) -> None:
    p = gpu_plans.tiny_text()
    folder = make_bundle(p, gpu_plans.tiny_weights(), bare_library)
    damaged = damage(text_of(p)).encode("utf-8", "surrogateescape")
    (folder / "gpu_kernels.wgsl").write_bytes(damaged)
    with pytest.raises(error, match=said):
        Model(folder, device=f"gpu:{software_gpu.index}")


def test_a_bundle_without_a_part_for_gpus(bundle: Path, software_gpu: GpuInfo) -> None:
    with pytest.raises(StorageError, match=r"gpu_plan\.bin: No such file"):
        Model(bundle, device=f"gpu:{software_gpu.index}")


def test_files_that_are_missing_or_of_another_size(
    make_bundle: BundleMaker, bare_library: Path, software_gpu: GpuInfo
) -> None:
    device = f"gpu:{software_gpu.index}"
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    (folder / "weights.bin").write_bytes(b"\0" * 64)
    with pytest.raises(CorruptFile, match=r"weights.bin has 64 bytes, gpu_plan.bin expects"):
        Model(folder, device=device)
    (folder / "gpu_kernels.wgsl").unlink()
    with pytest.raises(StorageError, match=r"gpu_kernels.wgsl"):
        Model(folder, device=device)


def damaged(damage: Callable[[GpuTextWriter], object]) -> GpuTextWriter:
    p = gpu_plans.tiny_text()
    damage(p)
    return p


def replace(p: GpuTextWriter, table: str, index: int, position: int, value: int) -> None:
    rows = getattr(p, table)
    fields = list(rows[index])
    fields[position] = value
    rows[index] = tuple(fields)


def first_of(p: GpuTextWriter, kind: int) -> int:
    return next(i for i, buffer in enumerate(p.buffers) if buffer[0] == kind)


def with_an_empty_arena(p: GpuTextWriter) -> None:
    replace(p, "buffers", first_of(p, pw.ARENA), 1, 5)
    replace(p, "buffers", first_of(p, pw.ARENA), 3, 0)


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (lambda p: setattr(p, "scratch_bytes", 64), CorruptFile, "kernels of GPUs have no scratch"),
        (lambda p: replace(p, "buffers", first_of(p, pw.ARENA), 2, 64), CorruptFile, "no multiple of 256"),
        (lambda p: replace(p, "buffers", first_of(p, pw.WEIGHT), 3, 0), CorruptFile, "a part of a weight without"),
        (lambda p: replace(p, "inputs", 2, 4, pw.LENT), CorruptFile, "only bytes are lent"),
        (lambda p: replace(p, "kernels", 0, 2, 61), CorruptFile, "arguments lie outside|61 scalars"),
        (with_an_empty_arena, CorruptFile, "an arena of no bytes"),
        (lambda p: replace(p, "kernels", 0, 1, 2), DeviceError, "step 0, embed: kernel t_embed: "),
    ],
)
def test_plans_that_are_none_for_gpus(
    open_gpu: GpuOpener, damage: Callable[[GpuTextWriter], object], error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        TextSession(open_gpu(damaged(damage), gpu_plans.tiny_weights()), num_pages=4)


def test_a_lent_input_is_refused(open_gpu: GpuOpener) -> None:
    p = GpuWriter()
    n = p.symbol("n", 1, 8)
    p.function("f")
    p.input("pixels", [n], pw.U8, pw.LENT)
    with pytest.raises(CorruptFile, match="a GPU reads nothing where the caller has it"):
        open_gpu(p)


def test_a_step_that_reads_and_writes_one_arena_is_refused_and_nothing_crashes(open_gpu: GpuOpener) -> None:
    p = GpuWriter()
    one_unit = p.constant(1)
    p.function("f")
    x, y = p.arena(4), p.arena(4)
    p.step(p.gpu_kernel("f", [(READ, "i32"), (WRITE, "i32")], 0, "b1[unit] = b0[unit];"), [x, y], [], units=one_unit)
    p.output("y", y, [one_unit], dtype=pw.I32)
    with Session(open_gpu(p)) as session:
        for _ in range(2):
            with pytest.raises(DeviceError, match=r"a call: .*conflicting usages"):
                session.run("f", {})


def test_a_scalar_that_leaves_32_bits_is_refused_and_the_session_goes_on(open_gpu: GpuOpener) -> None:
    p = GpuWriter()
    n = p.symbol("n", 1, 3)
    p.function("f")
    x, y = p.input("x", [n], pw.I32), p.arena(12)
    big = p.times(p.operation(pw.FLOOR_DIVIDE, n, p.constant(3)), 1 << 31)
    p.step(p.gpu_kernel("f", [(READ, "i32"), (WRITE, "i32")], 1, "b1[unit] = b0[unit] + a.s0;"), [x, y], [big], units=n)
    p.output("y", y, [n], dtype=pw.I32)
    with Session(open_gpu(p)) as session:
        assert session.run("f", {"x": [4, 5]})["y"].tolist() == [4, 5]
        with pytest.raises(CorruptFile, match="scalar 0 is 2147483648, more than 32 bits"):
            session.run("f", {"x": [6, 7, 8]})
        assert session.run("f", {"x": [6, 7]})["y"].tolist() == [6, 7]


def test_memory_that_cannot_be_had(open_gpu: GpuOpener, software_gpu: GpuInfo) -> None:
    model = open_gpu(gpu_plans.tiny_text(), gpu_plans.tiny_weights())
    page = tiny_model.PAGE * tiny_model.HIDDEN * 4
    most = software_gpu.limits["binding_bytes"] // page
    with pytest.raises(DeviceError, match=r"state cache would take .* take fewer pages"):
        TextSession(model, num_pages=most + 1)
    with TextSession(model, num_pages=4) as session:  # the model goes on
        assert session.forward(*one([5]), TABLE, [0]).argmax.size == 1
    limited = open_gpu(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), memory_limit_bytes=1 << 20)
    with pytest.raises(NotEnoughMemory, match="memory_limit_bytes is 1048576"):
        TextSession(limited, num_pages=1 << 13)
    with pytest.raises(NotEnoughMemory, match="the weights would take"):
        open_gpu(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), memory_limit_bytes=1 << 10)


def test_weights_may_be_cancelled(open_gpu: GpuOpener) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_gpu(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), progress=interrupt)


def test_sizes_and_models_are_checked_as_on_the_processor(open_gpu: GpuOpener) -> None:
    model = open_gpu(counting())
    with pytest.raises(UsageError, match="the size slots is missing"):
        Session(model)
    with pytest.raises(UsageError, match="gpu_features is f17"):
        open_gpu(counting(), gpu_features="f17")
    with pytest.raises(UsageError, match="gpu_features is core count=f17"):
        open_gpu(counting(), gpu_features="core count=f17")
    with Session(model, {"slots": 1}) as session, pytest.raises(UsageError, match="no function"):
        session.run("other", {})


def test_what_is_closed_first_does_not_matter(open_gpu: GpuOpener) -> None:
    for order in ("model first", "sessions first"):
        model = open_gpu(counting())
        sessions = [Session(model, {"slots": 3}) for _ in range(2)]
        kept = [session.run("count", {})["sum"] for session in sessions]
        if order == "model first":
            model.close()
        for session in reversed(sessions):
            session.close()
        model.close()
        np.testing.assert_array_equal(np.concatenate(kept), [3, 3])
