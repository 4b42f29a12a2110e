"""Takes the pictures of the pages in docs/images: `python tests/web/screenshots.py`.

It opens the real `hearth app starter`. The conversations come by import: the starter model is too small to write about
rainbows. The last one is asked for real, as is that of the packaged page, which computes in the browser.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}

RAINBOW = """\
Each drop bends the light as it enters, reflects it at its back, and bends it again as it leaves. The light gathers
where the deviation is **least**:

$$\\frac{d}{d\\theta}\\left(\\pi + 2\\theta - 4\\arcsin\\frac{\\sin\\theta}{n}\\right) = 0$$

```python
def rainbow_angle(n: float) -> float:
    theta = asin(sqrt((4 - n**2) / 3))
    return degrees(4 * asin(sin(theta) / n) - 2 * theta)
```

| Colour | Index $n$ | Angle |
|:--|--:|--:|
| Red | 1.331 | 42.3° |
| Violet | 1.344 | 40.6° |
"""

TALKS = [
    ("Ideas for a small balcony garden", "Herbs first: thyme, chives and mint in separate pots."),
    ("Translate a letter to my landlord", "Here is a polite version."),
    ("Why does bread rise?", "Yeast turns sugar into carbon dioxide."),
    ("How does a rainbow form? With the angle, please.", RAINBOW),
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = "from hearth.cli.main import main; main()"
        arguments = ["app", "starter", "--page", "--no-browser", "--port", "0", "--data", folder]
        server = subprocess.Popen([sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            packaged, link = (next(line for line in server.stdout if "http" in line).split()[-1] for _ in range(2))
            take(link, [add(link, question, answer) for question, answer in TALKS][-1])
            take_packaged(packaged)
        finally:
            server.terminate()
            server.wait()


def add(link: str, question: str, answer: str) -> str:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    talk = {"format": "hearth-conversation", "version": 1, "model": "starter", "system": "", "messages": messages}
    url, token = link.split("/#token=")
    headers = {"authorization": f"Bearer {token}"}
    response = httpx.post(f"{url}/api/conversations/import", json=talk, headers=headers)
    return str(response.raise_for_status().json()["id"])


def take(link: str, talk: str) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)

        def window(**options: Any) -> Any:
            page = browser.new_context(**options).new_page()
            page.goto(link)
            page.get_by_label("Message", exact=True).wait_for()
            page.goto(f"{link.partition('#')[0]}#/c/{talk}")
            page.locator(".katex").first.wait_for()
            page.wait_for_timeout(500)
            return page

        for scheme in ("light", "dark"):
            page = window(viewport={"width": 1280, "height": 860}, color_scheme=scheme)
            page.locator(".thread").evaluate("e => e.scrollTop = 0")
            page.locator(".to-end").evaluate_all("all => all.forEach((e) => e.remove())")
            if scheme == "dark":
                page.get_by_role("button", name="Settings of this conversation").click()
            page.wait_for_timeout(500)
            save(page, f"app-{scheme}.png")
        page = window(**PHONE, color_scheme="light")
        page.get_by_role("button", name="New chat").click()
        page.get_by_label("Message", exact=True).fill("What is the capital of France?")
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("button", name="Answer again").wait_for()
        page.wait_for_timeout(700)
        save(page, "app-phone.png")
        browser.close()


def take_packaged(link: str) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_context(**PHONE, color_scheme="light").new_page()
        page.goto(link)
        page.get_by_role("button", name="Load the model").click()
        page.get_by_text("Settings").click()
        page.get_by_label("Temperature").fill("0")
        page.get_by_text("Settings").click()
        for question in ("What is the capital of France?", "What is the symbol of gold?"):
            page.get_by_label("Message", exact=True).fill(question)
            page.get_by_role("button", name="Send", exact=True).click()
            page.get_by_role("button", name="Stop").wait_for(state="detached")
        page.wait_for_timeout(700)
        save(page, "site-phone.png")
        browser.close()


def save(page: Any, name: str) -> None:
    path = IMAGES / name
    page.screenshot(path=path)
    # 256 colours are enough for a page, and a third of the size.
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
