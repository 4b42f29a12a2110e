"""A bundle is a program: what was compiled here runs, what came from elsewhere only when the user says so."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from hearth.bundle import BundleWriter, bundle_path, mark_compiled_here, open_bundle, require_own_cache, require_trusted
from hearth.errors import UntrustedBundle

from .samples import fill, write_bundle
from .samples import manifest as manifest_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HEARTH_CACHE", str(folder))
    return folder


def test_a_bundle_of_the_cache_runs() -> None:
    require_trusted(write_bundle(bundle_path("mine")))


def test_a_bundle_from_elsewhere_is_refused_with_the_flag_that_runs_it(tmp_path: Path) -> None:
    with pytest.raises(UntrustedBundle, match=r"a program.*--trust-bundle"):
        require_trusted(write_bundle(tmp_path / "downloaded"))


def test_what_was_compiled_here_runs_wherever_it_is_moved(tmp_path: Path) -> None:
    mark_compiled_here(write_bundle(tmp_path / "made"))
    moved = shutil.move(tmp_path / "made", tmp_path / "moved")
    require_trusted(open_bundle(moved))


@pytest.mark.parametrize("name", ["libhearth.so", "gpu_plan.bin", "gpu_kernels.wgsl"])
def test_another_program_in_a_bundle_that_was_compiled_here_is_refused(tmp_path: Path, name: str) -> None:
    with BundleWriter(tmp_path / "made") as writer:
        fill(writer)
        for for_gpus in ("gpu_plan.bin", "gpu_kernels.wgsl"):
            writer.write(for_gpus, b"\x7fELF")
        bundle = writer.commit(manifest_of())
    mark_compiled_here(bundle)
    require_trusted(bundle)
    (bundle.path / name).write_bytes(b"\x7fELG")
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    # The manifest agrees with it.
    manifest["files"][name]["sha256"] = hashlib.sha256(b"\x7fELG").hexdigest()
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UntrustedBundle):
        require_trusted(open_bundle(bundle.path))


def test_a_link_into_the_cache_from_elsewhere_is_no_bundle_of_the_cache(tmp_path: Path, cache: Path) -> None:
    outside = write_bundle(tmp_path / "downloaded")
    (cache / "bundles").mkdir(parents=True)
    (cache / "bundles" / "link").symlink_to(outside.path)
    with pytest.raises(UntrustedBundle):
        require_trusted(open_bundle(cache / "bundles" / "link"))


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")
def test_a_cache_that_others_may_write_to_is_refused(cache: Path) -> None:
    bundle = write_bundle(bundle_path("mine"))
    for folder in (cache, cache / "bundles", bundle.path):
        folder.chmod(0o777)
        with pytest.raises(UntrustedBundle, match="can be written by all"):
            require_trusted(bundle)
        folder.chmod(0o755)
    require_trusted(bundle)


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")
def test_a_cache_of_another_user_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_bundle(bundle_path("mine"))
    require_own_cache()
    if os.getuid() == 0:
        os.chown(bundle.path, 12345, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(UntrustedBundle, match="belongs to another user"):
        require_trusted(bundle)


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")
def test_what_hearth_writes_under_a_careless_umask_is_its_own(cache: Path) -> None:
    before = os.umask(0)
    try:
        bundle = write_bundle(bundle_path("mine"))
        mark_compiled_here(bundle)
    finally:
        os.umask(before)
    require_trusted(bundle)
