"""A library with kernels for several instruction sets: the best that the processor has is used; what lacks is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.runtime import tiny_model
from tests.runtime.conftest import CACHE, BundleMaker

from hearth.bundle import cpu
from hearth.compiler.cpu.link import KernelSet, library_name, link_library
from hearth.compiler.cpu.targets import ISAS
from hearth.errors import BundleMismatch, UsageError
from hearth.runtime import Model, TextSession

NEVER = KernelSet("never", ("no_such_feature",), tiny_model.KERNELS)
PLAIN = KernelSet("plain", (), tiny_model.KERNELS)
PLAINER = KernelSet("plainer", (), tiny_model.KERNELS)


def with_sets(sets: Sequence[KernelSet], kernel_object: Path, make_bundle: BundleMaker, folder: Path) -> Path:
    library = folder / library_name()
    link_library([kernel_object], sets, library, cache_dir=CACHE)
    return make_bundle(tiny_model.plan(), tiny_model.weights_bytes(), library)


def test_the_first_that_the_processor_has_is_used(
    kernel_object: Path, make_bundle: BundleMaker, tmp_path: Path
) -> None:
    bundle = with_sets([NEVER, PLAIN, PLAINER], kernel_object, make_bundle, tmp_path)
    for wanted, used in ((None, "plain"), ("plain", "plain"), ("plainer", "plainer")):
        with Model(bundle, isa=wanted) as model, TextSession(model, num_pages=1, threads=1) as session:
            assert (model.info.isa, model.info.isas) == (used, ("never", "plain", "plainer"))
            result = session.forward([3], [0], [0], [[0]], [0])
            assert (result.logits == tiny_model.logits_of([3])).all()


def test_what_is_missing_is_named(kernel_object: Path, make_bundle: BundleMaker, tmp_path: Path) -> None:
    bundle = with_sets([NEVER, PLAIN], kernel_object, make_bundle, tmp_path)
    with pytest.raises(BundleMismatch, match="never needs no_such_feature"):
        Model(bundle, isa="never")
    with pytest.raises(UsageError, match="no kernels for avx9; it has: never, plain"):
        Model(bundle, isa="avx9")
    both = [NEVER, KernelSet("nowhere", ("neither", "nor"), tiny_model.KERNELS)]
    (tmp_path / "two").mkdir()
    with pytest.raises(BundleMismatch, match="never needs no_such_feature; nowhere needs neither nor"):
        Model(with_sets(both, kernel_object, make_bundle, tmp_path / "two"))


def test_library_and_python_see_the_same_processor(
    kernel_object: Path, make_bundle: BundleMaker, tmp_path: Path
) -> None:
    """Else a bundle that Python lets through would be refused, or one that runs would not be opened."""
    have = cpu.features()
    if have is None:
        pytest.skip("this system does not tell Python what the processor has")
    features = sorted({feature for isa in ISAS.values() for feature in isa.features})
    sets = [KernelSet(feature, (feature,), tiny_model.KERNELS) for feature in features] + [PLAIN]
    bundle = with_sets(sets, kernel_object, make_bundle, tmp_path)
    for feature in features:
        try:
            Model(bundle, isa=feature).close()
            runs = True
        except BundleMismatch:
            runs = False
        assert runs == (feature in have), feature
