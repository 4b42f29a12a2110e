"""Every family computes what transformers computes, from a folder and from a GGUF file."""

from __future__ import annotations

import pytest
import reference

from golden import CASES, GGUF_ALONE, Case
from hearth.checkpoint import open_checkpoint

TWINS = [case for case in [*CASES, *GGUF_ALONE] if case.gguf_path]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_folder_computes_what_transformers_computes(case: Case):
    assert reference.error_of(open_checkpoint(case.path), case) < 1e-4


@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.name)
def test_gguf_file_computes_the_same(case: Case):
    assert reference.error_of(open_checkpoint(case.gguf_path), case) < 1e-4
