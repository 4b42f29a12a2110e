"""Weights come into memory whole or not at all, within the limit that was set, and progress is told."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime import plan_writer as pw
from tests.runtime import tiny_model
from tests.runtime.conftest import BundleMaker

from hearth.errors import BundleMismatch, CorruptFile, NotEnoughMemory, UsageError
from hearth.runtime import Model, Session, StateInfo, TensorInfo, TextInfo, TextSession, binding
from hearth.runtime.binding import library_path
from hearth.runtime.limits import compute_peak, read_bandwidth

SIZE = 40 << 20


@pytest.fixture
def big(make_bundle: BundleMaker) -> Path:
    """A bundle with 40 MiB of weights; its function answers the last of them."""
    p = pw.PlanWriter()
    p.function("tail")
    p.weight("big", SIZE)
    tail = len(p.buffers)
    p.buffers.append((pw.WEIGHT, 0, SIZE - 64, 64))
    copied, sixteen = p.arena(64), p.constant(16)
    p.step(p.kernel("t_scale", 2, 1), [tail, copied], [p.constant(1)], units=sixteen, grain=4)
    p.output("copied", copied, [sixteen])
    return make_bundle(p, np.arange(SIZE // 4, dtype=np.float32).tobytes())


def last_weights(model: Model) -> list[float]:
    with Session(model, threads=2) as session:
        return session.run("tail", {})["copied"].tolist()


@pytest.mark.parametrize("options", [{}, {"use_mmap": True}, {"load_threads": 1}, {"load_threads": 7}])
def test_weights_arrive_however_they_are_loaded(big: Path, options: dict[str, int]) -> None:
    with Model(big, **options) as model:  # type: ignore[arg-type]  # options of several types
        expected = np.arange(SIZE // 4 - 16, SIZE // 4, dtype=np.float32).tolist()
        assert last_weights(model) == expected
        assert 0 <= model.weights_huge_bytes <= SIZE


def test_progress_runs_to_the_end(big: Path) -> None:
    seen: list[tuple[int, int]] = []
    Model(big, progress=lambda done, total: seen.append((done, total)), load_threads=2).close()
    assert seen[-1] == (SIZE, SIZE)
    assert seen == sorted(seen)


def test_an_exception_in_progress_ends_the_loading_and_comes_through(big: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Model(big, progress=interrupt)
    Model(big).close()


def test_ctrl_c_ends_the_loading(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes while C code reads is neither lost nor does it leave that code without its library."""
    original = binding.ProgressCallback

    def with_signal(report: Callable[[object, int, int], int]) -> object:
        sent = False

        def interrupt(user: object, done: int, total: int) -> int:
            nonlocal sent
            if done > 0 and not sent:
                sent = True
                signal.raise_signal(signal.SIGINT)
            return report(user, done, total)

        return original(interrupt)

    with monkeypatch.context() as patch:
        patch.setattr(binding, "ProgressCallback", with_signal)
        for _ in range(20):
            with pytest.raises(KeyboardInterrupt):
                Model(big, load_threads=1)
    Model(big).close()


def test_a_limit_on_memory_counts_weights_and_sessions(big: Path) -> None:
    with pytest.raises(NotEnoughMemory, match="the weights would take 41943040 bytes"):
        Model(big, memory_limit_bytes=SIZE - 1)
    with Model(big, memory_limit_bytes=SIZE + 100) as model, pytest.raises(NotEnoughMemory, match="a session"):
        Session(model, threads=1)
    with Model(big, memory_limit_bytes=SIZE + 20_000) as model:
        for _ in range(3):  # what a closed session held is free again
            with Session(model, threads=1) as session:
                assert 0 < session.size_bytes < 20_000


def test_describe_says_what_the_plan_says(model: Model) -> None:
    info, text = model.info, TextInfo.of(model.info)
    assert (text.vocab_size, text.hidden_size, text.max_position) == (100, 8, 64)
    assert (text.max_tokens, text.max_seqs, text.max_logit_rows) == (16, 4, 4)
    assert (text.tile_tokens, text.page_tokens, text.max_block_table_stride) == (4, 8, 8)
    assert (text.split_tokens, text.max_partials, text.kv_bytes_per_page) == (64, 8, 256)
    assert text.outputs == ("logits", "argmax", "hidden")
    assert info.weights_bytes == 6400
    assert (info.num_steps, info.num_kernels, info.num_weights) == (6, 6, 2)
    assert info.states == (StateInfo("cache", "pages", 256),)
    assert info.symbols["tokens"] == (1, 16)
    assert info.symbols["page_tokens"] == (8, 8)
    (forward,) = info.functions.values()
    assert (forward.name, forward.door) == ("forward", "text")
    assert forward.inputs["token_ids"] == TensorInfo("token_ids", "i32", ("tokens",), (16,), 0, 99)
    assert forward.inputs["items"] == TensorInfo("items", "i32", ("items", 8), (24, 8))
    assert forward.outputs["logits"] == TensorInfo("logits", "f32", ("logit_rows", 100), (4, 100))
    with TextSession(model, num_pages=100, threads=3) as session:
        assert session.size_bytes <= text.session_bytes(100, 3) <= session.size_bytes + 4096


def test_a_session_needs_little_until_its_pages_are_used(make_bundle: BundleMaker) -> None:
    """A context of a terabyte can be promised by address, not by memory: the system, not we, sets the bound."""
    plan = tiny_model.plan()
    plan.states[0] = (*plan.states[0][:2], 1 << 20)
    with Model(make_bundle(plan, tiny_model.weights_bytes())) as model:
        before = resident_bytes()
        with TextSession(model, num_pages=2048, threads=2) as session:
            session.forward([1], [0], [0], [[7]], [0])
            assert session.size_bytes > 2 << 30
            assert resident_bytes() - before < 64 << 20


def test_a_session_needs_memory_for_its_pages_and_not_for_the_longest_context(make_bundle: BundleMaker) -> None:
    plan = tiny_model.plan(max_position=1 << 30)
    with (
        Model(make_bundle(plan, tiny_model.weights_bytes())) as model,
        TextSession(model, num_pages=8, threads=1) as session,
    ):
        assert session.size_bytes <= session.info.session_bytes(8, 1) < 1 << 20
        with pytest.raises(UsageError, match="position 64 needs 9 pages, the session has 8"):
            session.forward([1], [64], [0], [[0] * 9], [0])


def resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
    except OSError:
        pytest.skip("needs /proc/self/statm")


def test_a_library_of_another_kind_is_refused(bundle: Path) -> None:
    path = library_path(bundle)
    path.write_bytes(b"MZ this is no library")
    with pytest.raises(BundleMismatch, match="cannot be loaded on this machine"):
        Model(bundle)
    path.unlink()
    with pytest.raises(CorruptFile, match="The bundle has no libhearth"):
        Model(bundle)


def test_a_bundle_made_anew_in_the_same_place_is_the_new_one(bundle: Path, library: Path) -> None:
    """The system knows loaded libraries by their path: an old one must really be gone."""
    Model(bundle).close()
    path = library_path(bundle)
    path.unlink()
    path.write_bytes(b"no library")
    with pytest.raises(BundleMismatch):
        Model(bundle)


def test_read_bandwidth_is_plausible(model: Model) -> None:
    rounds = read_bandwidth(model, threads=2, size_bytes=64 << 20, rounds=3)
    assert len(rounds) == 3
    assert all(1e8 < b < 1e13 for b in rounds)
    with pytest.raises(UsageError):
        read_bandwidth(model, threads=2, size_bytes=0)


def test_a_library_without_peak_kernels_says_so(model: Model) -> None:
    with pytest.raises(BundleMismatch, match="peak_int8"):
        compute_peak(model, "int8", threads=1)
    with pytest.raises(UsageError):
        compute_peak(model, "int8", threads=0)
