"""The builder of GPU kernels and the WGSL that TVM makes of them, on a real adapter."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")

from hearth.compiler.gpu.kernels.builder import GpuKernel, builtin, cast, f32, fma, lane, splat, unpack_halves
from hearth.compiler.gpu.shaders import kernels_file
from hearth.compiler.gpu.wgsl import wgsl

from .adapter import run_kernel


def _scaled_copy() -> GpuKernel:
    k = GpuKernel("scaled_copy", threads=64)
    x, y = k.buffer("x", "float32"), k.buffer("y", "float32")
    n = k.scalar("n")
    i = k.let(k.group * 64 + k.thread)
    with k.when(i < n):
        k.store(y, i, x.load(i) * 2.0)
    return k


def test_a_kernel_computes_what_it_says_and_nothing_past_its_count():
    x = np.arange(200, dtype=np.float32)
    _, y = run_kernel(_scaled_copy(), [x, np.full(200, -1, np.float32)], [130], 3)
    np.testing.assert_array_equal(y[:130], 2 * x[:130])
    np.testing.assert_array_equal(y[130:], -1)


def test_groups_beyond_one_axis_are_counted_on_and_none_is_one_too_many():
    # TVM's own guard lets one workgroup too many in where a grid is rounded up.
    k = GpuKernel("mark", threads=1)
    y = k.buffer("y", "int32")
    k.store(y, k.group, k.group + 1)
    units = 3 * 32768 - 7
    (marks,) = run_kernel(k, [np.zeros(units + 64, np.int32)], [], units)
    np.testing.assert_array_equal(marks[:units], np.arange(1, units + 1))
    np.testing.assert_array_equal(marks[units:], 0)


def test_workgroup_memory_is_seen_behind_a_barrier():
    k = GpuKernel("sums", threads=128)
    x, y = k.buffer("x", "float32x4"), k.buffer("y", "float32")
    shared = k.workgroup(128, "float32")
    total = k.register()
    total.set(f32(0.0))
    vector = k.let(x.load(k.group * 128 + k.thread))
    for i in range(4):
        total.set(total.get() + lane(vector, i))
    k.store(shared, k.thread, total.get())
    width = 64
    while width:
        k.barrier()
        with k.when(k.thread < width):
            k.store(shared, k.thread, shared.load(k.thread) + shared.load(k.thread + width))
        width //= 2
    with k.when(k.thread == 0):
        k.store(y, k.group, shared.load(0))
    x_values = np.random.default_rng(0).integers(-50, 50, (5, 512)).astype(np.float32)
    _, y_values = run_kernel(k, [x_values, np.zeros(5, np.float32)], [], 5)
    np.testing.assert_array_equal(y_values, x_values.sum(axis=1))


def test_halves_are_unpacked_and_vectors_multiplied():
    k = GpuKernel("halves", threads=32)
    words, y = k.buffer("words", "uint32"), k.buffer("y", "float32x4")
    pair = k.let(unpack_halves(words.load(k.thread)))
    sums = k.register("float32x4")
    sums.set(f32(1.0, 4))
    for i in range(2):
        number = k.let(lane(pair, i))
        sums.set(fma(splat(number), f32(2.0, 4), sums.get(), 4))
    k.store(y, k.thread, sums.get())
    halves = np.random.default_rng(1).normal(size=64).astype(np.float16)
    _, y_values = run_kernel(k, [halves.view(np.uint32), np.zeros((32, 4), np.float32)], [], 1)
    expected = 1 + 2 * halves.astype(np.float32).reshape(32, 2).sum(axis=1)
    np.testing.assert_allclose(y_values, np.repeat(expected[:, None], 4, axis=1), rtol=1e-6)


def test_functions_of_wgsl_are_there():
    k = GpuKernel("bits", threads=32)
    x, y = k.buffer("x", "uint32"), k.buffer("y", "int32")
    k.store(y, k.thread, cast("int32", builtin("countOneBits", "uint32", x.load(k.thread))))
    numbers = np.arange(32, dtype=np.uint32) * 77
    _, y_values = run_kernel(k, [numbers, np.zeros(32, np.int32)], [], 1)
    np.testing.assert_array_equal(y_values, [int(n).bit_count() for n in numbers])


def test_no_name_is_one_of_a_type_of_wgsl():
    k = GpuKernel("names", threads=32)
    y = k.buffer("y", "int32")
    total = k.register("int32", k.thread)
    for _ in range(33):
        total.set(total.get() + k.let(k.thread + 1, "i"))
    k.store(y, k.thread, total.get())
    (y_values,) = run_kernel(k, [np.zeros(32, np.int32)], [], 1)
    thread = np.arange(32)
    np.testing.assert_array_equal(y_values, thread + 33 * (thread + 1))


def test_what_is_only_read_is_bound_read_only():
    text = wgsl(_scaled_copy())
    assert "var<storage, read> x" in text
    assert "var<storage, read_write> y" in text


def test_a_file_of_shaders_names_them_and_texts_are_kept(tmp_path):
    made: list[str] = []
    text = kernels_file([_scaled_copy()], tmp_path, made.append)
    assert text.startswith("//@ scaled_copy 64 core\n")
    assert text.endswith(wgsl(_scaled_copy()))
    (kept,) = tmp_path.glob("*.wgsl")
    kept.write_text("damaged")
    assert kernels_file([_scaled_copy()], tmp_path, made.append) == text
    assert made == ["scaled_copy", "scaled_copy"]
