"""The page about families says what the code says: which there are, and what others need."""

from __future__ import annotations

import re
from pathlib import Path

from hearth.model.text.families import FAMILIES
from hearth.model.text.missing import BLOCKS
from hearth.model.vlm.families import FAMILIES as SEEING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "families.md"


def names_in(column: int) -> set[str]:
    """Names in the table of families."""
    table = PAGE.read_text(encoding="utf-8").partition("| family |")[2].partition("\n\n")[0]
    rows = [row.split("|") for row in table.splitlines()[2:]]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row[column])}


def test_the_table_has_all_families_and_no_other():
    seeing = {name for family in SEEING for name in family.model_types}
    ours = {name for family in FAMILIES for name in family.model_types}
    assert ours <= names_in(2) <= ours | seeing
    assert names_in(3) == {name for family in FAMILIES for name in family.architectures}


def missing_rows() -> list[str]:
    """What others need, as the page has it."""
    return [
        f"| {block.what} | {', '.join(f'`{name}`' for name in block.names)} |"
        f" {', '.join(f'`{name}`' for name in dict.fromkeys(block.names.values()))} |"
        for block in BLOCKS
    ]


def test_what_others_need_stands_on_the_page():
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [row for row in missing_rows() if row not in page] == []
