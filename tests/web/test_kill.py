"""Hearth is killed in the middle of an answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.waiting import SLOW_HEARTH

from hearth import LLM

from .conftest import OpenWindow
from .steps import ANSWER, QUESTION, answers, ask, expect


@contextmanager
def hearth_app(folder: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    arguments = ["app", "starter", "--no-browser", "--port", str(port), "--data", str(folder), "--offline"]
    command = [sys.executable, "-c", SLOW_HEARTH.format(seconds=0.15), *arguments]  # a middle to kill it in
    environment = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield next(line for line in process.stdout if "http" in line).split()[-1], process
        finally:
            process.kill()


def test_what_was_on_the_screen_is_still_there_and_can_be_asked_again(
    open_window: OpenWindow, starter: LLM, tmp_path: Path
) -> None:
    with hearth_app(tmp_path) as (link, process):
        window = open_window(link=link)
        page = window.page
        window.forgive += ["ERR_"]
        ask(page, QUESTION, wait=False)
        expect(answers(page)).to_contain_text("The capital of")
        process.kill()
        expect(page.get_by_text("Hearth is not running.")).to_be_visible()
        shown = answers(page).locator(".md").inner_text()
        assert ANSWER.startswith(shown)
        assert shown != ANSWER
        expect(page.get_by_role("button", name="Try again")).to_be_disabled()
    with hearth_app(tmp_path, urlsplit(link).port or 0):
        expect(page.get_by_text("Hearth is not running.")).to_have_count(0)
        page.reload()
        expect(answers(page)).to_contain_text("Interrupted")
        kept = answers(page).locator(".md").inner_text()
        assert kept.startswith(shown)
        page.get_by_role("button", name="Try again").click()
        expect(answers(page)).to_contain_text(ANSWER)
        expect(page.get_by_text("2 / 2")).to_be_visible()
