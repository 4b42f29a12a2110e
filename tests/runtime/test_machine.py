"""What the machine offers this process: threads and memory, with the limits that containers set."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.errors import NotEnoughMemory
from hearth.runtime import available_bytes, default_threads, memory, require, threads


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")
    return root


def test_this_machine_has_threads_and_memory() -> None:
    assert 1 <= default_threads() <= len(threads.usable_processors())
    available = available_bytes()
    assert available is None or available > 0


def test_two_processors_of_one_core_count_once(tmp_path: Path) -> None:
    pairs = {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}
    write(tmp_path, {f"cpu{n}/topology/thread_siblings_list": text for n, text in pairs.items()})
    assert threads._physical_cores({0, 1, 4, 5}, tmp_path) == 2
    assert threads._physical_cores({1, 5}, tmp_path) == 1
    assert threads._physical_cores({0, 1}, tmp_path / "nothing") == 2


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {}, None),
        ("0::/a/b", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000", "cpu.max": "400000 100000"}, 2.0),
        ("0::/of/the/host", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/../above", {"cpu.max": "50000 100000"}, 0.5),
        (
            "4:cpu:/x",
            {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"},
            None,
        ),
        (
            "4:cpu,cpuacct:/docker/1",
            {"cpu,cpuacct/cpu.cfs_quota_us": "300000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        ("7:memory:/", {"memory/cpu.max": "1 2"}, None),
        ("nonsense", {"cpu.max": "50000 100000"}, None),
    ],
)
def test_cpu_quota_of_containers(tmp_path: Path, own: str, files: dict[str, str], quota: float | None) -> None:
    root = write(tmp_path / "cgroup", files)
    own_file = write(tmp_path, {"own": own}) / "own"
    assert threads.cpu_quota(own_file, root) == quota


@pytest.mark.parametrize(
    ("own", "files", "left"),
    [
        ("0::/", {"memory.max": "max", "memory.current": "5"}, None),
        ("0::/", {"memory.max": "1000", "memory.current": "600"}, 400),
        ("0::/", {"memory.max": "1000", "memory.current": "600", "memory.stat": "anon 1\ninactive_file 100"}, 500),
        ("0::/", {"memory.max": "1000", "memory.current": "1600"}, 0),
        ("0::/a", {"a/memory.max": "900", "a/memory.current": "600", "memory.max": "9000", "memory.current": "1"}, 300),
        ("3:memory:/", {"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "100"}, 600),
        ("3:memory:/", {"memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "1"}, None),
    ],
)
def test_memory_limit_of_containers(tmp_path: Path, own: str, files: dict[str, str], left: int | None) -> None:
    root = write(tmp_path / "cgroup", files)
    own_file = write(tmp_path, {"own": own}) / "own"
    assert memory.cgroup_available(own_file, root) == left


def test_too_little_memory_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 3 << 30)
    require(3 << 30, "The weights")
    with pytest.raises(NotEnoughMemory) as caught:
        require(5 << 30, "The weights")
    assert caught.value.what == "The weights would take 5.0 GiB; 3.0 GiB are available."
    assert "smaller context" in caught.value.hint
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    require(1 << 60, "Anything")


def test_sizes_as_people_say_them() -> None:
    assert [memory.format_bytes(n) for n in (12, 2048, 5 << 20, 3 << 29)] == ["12 bytes", "2 KiB", "5 MiB", "1.5 GiB"]
