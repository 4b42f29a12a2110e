"""`hearth serve --page` and `hearth app --page`: one command, and a browser runs the model."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.running import running

from hearth import LLM
from hearth.bundle import open_bundle
from hearth.cli.pages import seen_from_elsewhere
from hearth.package import Site, kept_site
from hearth.server.keys import ApiKeys
from hearth.server.visitors import VisitorsPage

from .site_server import answer, begin, visit

Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def start(starter: LLM, cache: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a verb in a process of its own and waits until it answers; what it has written until then."""
    begun: list[subprocess.Popen[str]] = []

    def verb(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        own = {"HEARTH_CACHE": str(cache), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", "from hearth.cli.main import main; main()", *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **own, "PYTHONUNBUFFERED": "1", **environment},
        )
        begun.append(process)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        return process, said

    yield verb
    for process in begun:
        process.kill()
        process.communicate()


def page_of(said: str) -> str:
    found = re.search(r"The page of starter: (\S+)", said)
    assert found, said
    return found[1]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_serve_hands_out_the_page_beside_what_it_serves(start: Start) -> None:
    key = "sk-test-0123456789abcdef"
    process, said = start("serve", "starter", "--page", "--host", "0.0.0.0", HEARTH_API_KEY=key)
    assert "neither GPU nor storage" in " ".join(said.split())
    path = "/page/" + page_of(said).partition("/page/")[2]
    found = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert found
    with httpx.Client(base_url=found[0], timeout=60, trust_env=False) as http:
        assert "<!doctype html>" in http.get(path).text
        told = http.get(f"{path}model.json").json()
        assert told["name"] == "starter"
        for chunk in {name for file in told["files"].values() for name in file["chunks"]}:
            assert http.get(f"{path}blobs/{chunk}").status_code == 200
        assert http.get("/v1/models").status_code == 401
        assert http.get("/v1/models", headers={"x-api-key": key}).status_code == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_app_hands_out_the_page_and_chats_under_one_roof(start: Start, tmp_path: Path) -> None:
    data = str(tmp_path / "chats")
    _, said = start("app", "starter", "--page", "--no-browser", "--data", data)
    assert "--host 0.0.0.0 lets a phone" in " ".join(said.split())
    page = page_of(said)
    with httpx.Client(timeout=60, trust_env=False) as http:
        assert http.get(f"{page}model.json").json()["name"] == "starter"
        assert http.get(f"{page.partition('/page/')[0]}/api/conversations").status_code == 401
    _, again = start("app", "starter", "--page", "--no-browser", "--data", str(tmp_path / "others"))
    assert page_of(again).rsplit("/", 2)[1] != page.rsplit("/", 2)[1]


def test_the_site_is_made_once_and_anew_for_a_newer_page(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_folder, folder)
    bundle = open_bundle(folder, for_this_machine=False)
    site = kept_site(bundle)
    made = (site / "model.json").stat().st_mtime_ns
    assert kept_site(bundle) == site
    assert (site / "model.json").stat().st_mtime_ns == made
    newer = tmp_path / "page"
    shutil.copytree(Path(__file__).parents[2] / "src" / "hearth" / "package" / "page", newer)
    (newer / "build.json").write_text('{"sources_sha256": "' + "0" * 64 + '"}')
    for module in ("kept", "site"):
        monkeypatch.setattr(f"hearth.package.{module}.PAGE", newer)
    assert kept_site(bundle) != site
    assert [path.name for path in folder.glob("site-*")] == [kept_site(bundle).name]
    assert open_bundle(folder, for_this_machine=False).manifest == bundle.manifest


def test_the_page_of_a_server_answers_in_a_browser_and_without_the_server(
    context: Any, site: Site, expected: str
) -> None:
    keys = ApiKeys(["sk-test-0123456789abcdef"])
    visitors = VisitorsPage(site.path, keys)
    complaints: list[str] = []
    with running(visitors=visitors, keys=keys) as server:
        page = visit(context, server.url + visitors.path)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        begin(page)
        assert answer(page) == expected
        assert page.evaluate("crossOriginIsolated") is True
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        assert complaints == []
    page.reload()
    assert answer(page) == expected


def test_over_the_network_the_page_says_what_it_lacks_and_answers(context: Any, site: Site, expected: str) -> None:
    address = seen_from_elsewhere("0.0.0.0")
    if address is None:
        pytest.skip("this machine has no address but its own")
    keys = ApiKeys(["sk-test-0123456789abcdef"])
    visitors = VisitorsPage(site.path, keys)
    with running(visitors=visitors, keys=keys, host="0.0.0.0") as server:
        page = visit(context, f"http://{address}:{server.port}{visitors.path}")
        assert page.evaluate("isSecureContext") is False
        assert "over https" in page.locator(".notice").inner_text()
        begin(page)
        assert answer(page) == expected
        assert "WebGPU over https" in page.locator(".disclaimer").inner_text()
