"""What is not there is refused by the part that is missing, and says what comes nearest."""

from __future__ import annotations

import pytest
from edited import Edited

from hearth.errors import Unsupported
from hearth.model import load_family
from hearth.model.text.families import FAMILIES
from hearth.model.text.missing import BLOCKS


def test_nothing_that_runs_is_said_to_be_missing():
    runs = {name for family in FAMILIES for name in (*family.model_types, *family.architectures)}
    assert runs.isdisjoint(name for block in BLOCKS for name in block.names)


def test_what_comes_nearest_is_there():
    assert {nearest for block in BLOCKS for nearest in block.names.values()} <= {family.name for family in FAMILIES}


def test_each_architecture_lacks_one_thing():
    names = [name for block in BLOCKS for name in block.names]
    assert len(names) == len(set(names))


def test_the_refusal_names_the_part_and_the_family():
    edited = Edited("qwen3")
    edited.architecture = edited.config["model_type"] = "deepseek_v32"
    with pytest.raises(Unsupported) as refused:
        load_family(edited)
    assert "It needs attention to tokens that an indexer picks" in str(refused.value)
    assert "nearest is deepseek_v3" in str(refused.value)
