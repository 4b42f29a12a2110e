"""Every family computes what transformers computes, from a folder and from a GGUF file."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from golden import CASES, Case
from hearth.checkpoint import open_checkpoint
from hearth.model import load_family

TWINS = [case for case in CASES if case.gguf_path]


def logits_of(path, case: Case) -> np.ndarray:
    checkpoint = open_checkpoint(path)
    model = load_family(checkpoint, context=case.context)
    return reference.forward(model.config, reference.read_parameters(checkpoint, model), case.token_ids)


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_folder_computes_what_transformers_computes(case: Case):
    assert_close(logits_of(case.path, case), case.expected_logits())


@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.name)
def test_gguf_file_computes_the_same(case: Case):
    assert_close(logits_of(case.gguf_path, case), case.expected_logits())
