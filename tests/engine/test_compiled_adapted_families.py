"""Adapters beside products of every kind of layer, compiled: the logits are those of the merged model.

A failure says that an adapter is read and does nothing beside some product, or is added to other columns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.adapters import changeable_shapes, write_peft
from tests.compiler.compiled import compile_exact, open_session, relative_error
from tests.model import reference

from golden import CASES
from hearth.adapters import Adapters, AdapterSource
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.adapter import open_adapter
from hearth.model import load_family
from hearth.model.text.adapter_places import adapter_places, load_places
from hearth.runtime import Model

TOLERANCE = 1e-4
FAMILIES = (
    "deepseek_v2-greedy",  # latent attention, with queries of low rank; shared experts
    "minicpm3",
    "rwkv",
    "rwkv6",
    "rwkv7",
    "mamba2",
    "mamba",
    "lfm2",
    "olmo_hybrid",
    "gemma3n",  # several streams, and embeddings for each layer
    "bitnet",  # norms inside attention and the MLP
    "granitemoehybrid",
    "mpt",
)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_those_of_the_merged_model(name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    checkpoint = open_checkpoint(case.path)
    model = load_family(checkpoint)
    shapes = changeable_shapes(case.path, adapter_places(model))
    path = write_peft(tmp_path / "adapter", shapes, rank=3, alpha=2)
    bundle = compile_exact(case.path, tmp_path / "bundle", context=case.context, adapters=[path])
    places = load_places(bundle)
    assert places is not None

    parameters = reference.read_parameters(checkpoint, model)
    plain = reference.forward(model.config, parameters, case.token_ids)
    for parameter, (a, b) in places.read(open_adapter(path)).items():
        parameters[parameter] = parameters[parameter] + b.astype(np.float64) @ a
    expected = reference.forward(model.config, parameters, case.token_ids)
    assert relative_error(plain, expected) > 1e-2, "the adapter changes nothing"

    count = len(case.token_ids)
    with Model(bundle) as opened, open_session(opened) as session:
        adapters = Adapters(session, bundle)
        adapters.add(AdapterSource("one", path, 1.0))
        for units, wanted in (((0, 1), expected), ((0, 0), plain)):
            result = session.forward(
                case.token_ids.astype(np.int32),
                np.arange(count, dtype=np.int32),
                np.zeros(count, np.int32),
                np.arange(session.num_pages, dtype=np.int32)[None],
                np.arange(count, dtype=np.int32),
                adapters=np.array([units], np.int32),
                **session.info.lone_state(0, count),
            )
            assert relative_error(np.array(result.logits), wanted) < TOLERANCE
