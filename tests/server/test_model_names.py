"""The names that clients may call a model by."""

from __future__ import annotations

import pytest

from hearth.errors import ModelNotFound, UsageError
from hearth.server.model_names import ModelNames, model_id
from hearth.server.models import Models, ModelSettings

KNOWN = {"starter": "starter", "stories": "/models/stories.gguf", "acme/tiny:Q4_K_M": "acme/tiny:Q4_K_M"}


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (None, "starter"),
        ("", "starter"),
        ("stories", "stories"),
        ("/models/stories.gguf", "stories"),
        ("stories.gguf", "stories"),
        ("gpt-5", "starter"),
        ("claude-haiku-4-5", "stories"),
        ("claude-anything", "stories"),
        ("local", "acme/tiny:Q4_K_M"),
        ("acme/tiny", "acme/tiny:Q4_K_M"),
    ],
)
def test_a_name_leads_to_its_model(asked: str | None, meant: str) -> None:
    names = ModelNames({"gpt-5": "", "claude-*": "stories", "local": "acme/tiny:Q4_K_M"})
    names.check(KNOWN)
    assert names.find(asked, KNOWN) == meant


def test_a_split_file_is_called_as_a_whole_one() -> None:
    assert model_id("./stories-Q8_0-00001-of-00003.gguf") == model_id("./stories-Q8_0.gguf") == "stories-Q8_0"


def test_a_models_own_name_wins_over_an_alias() -> None:
    assert ModelNames({"st*": "acme/tiny"}).find("stories", KNOWN) == "stories"


@pytest.mark.parametrize("asked", ["gpt-5", "stories.bin", "/etc/passwd", "../stories", "*"])
def test_no_other_name_leads_anywhere(asked: str) -> None:
    with pytest.raises(ModelNotFound, match="It has: starter, stories, acme/tiny:Q4_K_M"):
        ModelNames({}).find(asked, KNOWN)


def test_only_names_are_listed_not_patterns() -> None:
    assert ModelNames({"gpt-5": "", "claude-*": ""}).listed(KNOWN) == {"gpt-5": "starter"}


def test_an_alias_of_a_model_that_is_not_served_is_refused_at_the_start() -> None:
    with pytest.raises(UsageError, match="alias 'x' is for 'other'"):
        Models(["starter"], ModelSettings(aliases=(("x", "other"),)))
