"""What people are told to install is this package and not a stranger's of a similar name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hearth.distribution import NAME, install_command

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_code_tells_the_name_of_the_project_file() -> None:
    assert PROJECT["name"] == NAME
    assert install_command("serve", "ray") == f"pip install '{NAME}[serve,ray]'"


@pytest.mark.parametrize(
    "file",
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "tools").rglob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
    ],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_no_hint_or_document_installs_another_distribution(file: Path) -> None:
    wanted = re.findall(
        r"""(?:pip|pipx|uv tool|uv pip) install[^\n`]*?['" ](hearth[\w-]*)(\[[\w,]+\])?""", file.read_text()
    )
    for name, extras in wanted:
        assert name == NAME
        assert set(filter(None, extras.strip("[]").split(","))) <= set(PROJECT["optional-dependencies"])
