"""Asking, and what can be done about an answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from server.running import Running

from .conftest import OpenWindow
from .steps import ANSWER, QUESTION, answers, ask, conversation_id, expect, questions, wait_for_end


def test_a_question_is_answered_and_the_conversation_is_kept(page: Any) -> None:
    ask(page, QUESTION)
    expect(answers(page)).to_contain_text(ANSWER)
    expect(answers(page)).to_contain_text(re.compile(r"\d+ tokens"))
    expect(page.get_by_role("meter")).to_have_attribute("aria-valuemax", "512")
    expect(page.get_by_role("link", name="What is the capital of France?").first).to_be_visible()
    page.reload()
    expect(answers(page)).to_contain_text(ANSWER)


@pytest.mark.usefixtures("slow")
def test_an_answer_appears_as_it_is_written_and_can_be_stopped(page: Any, app: Running) -> None:
    ask(page, QUESTION, wait=False)
    expect(answers(page)).to_contain_text("The capital")
    expect(answers(page)).not_to_contain_text("Paris")
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_end(page)
    expect(answers(page)).to_contain_text("Stopped.")
    kept = app.http.get(f"/api/conversations/{conversation_id(page)}").json()["messages"][-1]
    assert kept["state"] == "stopped"
    assert ANSWER.startswith(kept["content"])
    assert kept["content"] != ANSWER


@pytest.mark.usefixtures("slow")
def test_escape_stops_and_the_page_can_be_left_meanwhile(page: Any) -> None:
    ask(page, "What is the capital of Spain?", wait=False)
    expect(answers(page)).to_contain_text("The")
    page.get_by_role("button", name="New chat").first.click()
    expect(answers(page)).to_have_count(0)
    page.go_back()
    expect(answers(page)).to_contain_text("The capital")
    page.keyboard.press("Escape")
    wait_for_end(page)
    expect(answers(page)).to_contain_text("Stopped.")


def test_an_answer_can_be_had_again_and_both_stay(page: Any) -> None:
    ask(page, QUESTION)
    answers(page).get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 / 2")).to_be_visible()
    wait_for_end(page)
    page.get_by_role("button", name="Previous version").click()
    expect(page.get_by_text("1 / 2")).to_be_visible()
    expect(answers(page)).to_contain_text(ANSWER)
    page.reload()
    expect(page.get_by_text("1 / 2")).to_be_visible()


def test_an_edited_question_begins_a_branch_and_the_old_one_stays(page: Any) -> None:
    ask(page, QUESTION)
    ask(page, "What is the capital of Italy?")
    expect(questions(page)).to_have_count(2)
    questions(page).first.hover()
    questions(page).first.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit your message").fill("What is the capital of Germany?")
    page.get_by_label("Edit your message").press("Enter")
    expect(questions(page)).to_have_count(1)
    wait_for_end(page)
    expect(answers(page)).to_contain_text("Berlin")
    page.get_by_role("button", name="Previous version").click()
    expect(questions(page)).to_have_count(2)
    expect(answers(page).first).to_contain_text(ANSWER)


def test_an_empty_message_is_not_sent_and_shift_enter_begins_a_line(page: Any) -> None:
    box = page.get_by_label("Message", exact=True)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    box.press("Enter")
    box.type("one")
    box.press("Shift+Enter")
    box.type("two")
    expect(box).to_have_value("one\ntwo")
    expect(questions(page)).to_have_count(0)


def test_what_an_input_method_is_still_writing_is_not_sent(page: Any) -> None:
    box = page.get_by_label("Message", exact=True)
    box.fill("你好")
    box.evaluate("e => e.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))")
    expect(box).to_have_value("你好")
    expect(questions(page)).to_have_count(0)


def test_a_prompt_too_long_says_so_and_can_be_mended(open_window: OpenWindow) -> None:
    window = open_window()
    page = window.page
    window.forgive.append("400")
    ask(page, "word " * 700, wait=False)
    alert = page.get_by_role("alert").first
    expect(alert).to_be_visible()
    expect(alert).to_contain_text("context")
    expect(alert.get_by_role("button", name="Try again")).to_have_count(0)
    alert.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("article")).to_have_count(0)


def test_a_question_that_was_left_without_an_answer_can_be_answered(open_window: OpenWindow, app: Running) -> None:
    id = app.http.post("/api/conversations", json={}).json()["id"]
    app.http.post(f"/api/conversations/{id}/messages", json={"parent": None, "content": QUESTION}).raise_for_status()
    page = open_window(f"/#/c/{id}").page
    expect(page.get_by_text("This was not answered.")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(answers(page)).to_contain_text(ANSWER)
    expect(page.get_by_text("This was not answered.")).to_have_count(0)


def test_a_model_that_cannot_be_had_is_explained(open_window: OpenWindow) -> None:
    window = open_window()
    window.forgive.append("404")
    page = window.page
    page.get_by_role("button", name="Model: starter").click()
    expect(page.locator(".model-item[aria-pressed=true]")).to_contain_text("starter")
    page.get_by_label("Name of a model on Hugging Face").fill("nobody/nothing")
    page.get_by_role("button", name="Get", exact=True).click()
    failure = page.get_by_role("dialog", name="Choose a model").get_by_role("alert")
    expect(failure).to_contain_text("nobody/nothing")
    page.get_by_role("dialog", name="Choose a model").get_by_role("button", name="Dismiss").click()
    expect(failure).to_have_count(0)


def test_system_prompt_and_sampling_belong_to_the_conversation(page: Any, app: Running) -> None:
    page.get_by_role("button", name="Settings of this conversation").click()
    page.get_by_label("System prompt").fill("Answer briefly.")
    page.get_by_role("textbox", name="Temperature").fill("0")
    page.get_by_role("textbox", name="Longest answer").fill("3")
    page.get_by_role("textbox", name="Top-k").fill("-5")
    expect(page.get_by_text("Between 0 and 1000.")).to_be_visible()
    page.get_by_role("textbox", name="Top-k").fill("")
    page.get_by_role("textbox", name="Seed").fill("7")
    page.get_by_role("textbox", name="Seed").press("Enter")
    ask(page, QUESTION)
    expect(answers(page)).to_contain_text("Stopped at the longest answer allowed.")
    kept = app.http.get(f"/api/conversations/{conversation_id(page)}").json()
    assert kept["system"] == "Answer briefly."
    assert kept["settings"] == {"temperature": 0, "max_tokens": 3, "seed": 7}
    page.reload()
    page.get_by_role("button", name="Settings of this conversation").click()
    expect(page.get_by_label("System prompt")).to_have_value("Answer briefly.")
    expect(page.get_by_role("textbox", name="Seed")).to_have_value("7")


def test_files_go_along_with_a_message(page: Any, tmp_path: Any) -> None:
    from fpdf import FPDF

    (tmp_path / "notes.txt").write_text("The capital of France is Paris. " * 3)
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    pdf.cell(text="A page about Paris.")
    pdf.output(str(tmp_path / "paper.pdf"))
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(300))

    chips = page.locator(".composer .chip")
    chooser = page.locator(".composer input[type=file]")
    chooser.set_input_files([tmp_path / "notes.txt", tmp_path / "paper.pdf"])
    expect(chips).to_have_count(2)
    expect(chips.nth(0)).to_contain_text(re.compile(r"notes\.txt\s*\d+ tokens"))
    expect(chips.nth(1)).to_contain_text(re.compile(r"paper\.pdf\s*1 page · \d+ tokens"))
    page.get_by_role("button", name="Remove paper.pdf").click()
    expect(chips).to_have_count(1)
    ask(page, QUESTION)
    expect(questions(page).locator(".chip")).to_contain_text("notes.txt")
    expect(answers(page)).to_be_visible()


def test_a_file_that_cannot_be_read_says_why(open_window: OpenWindow, tmp_path: Any) -> None:
    window = open_window()
    window.forgive.append("400")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    window.page.locator(".composer input[type=file]").set_input_files(tmp_path / "photo.png")
    chip = window.page.locator(".composer .chip.failed")
    expect(chip).to_contain_text("photo.png")
    expect(chip.get_by_role("alert")).not_to_be_empty()
    expect(window.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()


@pytest.mark.usefixtures("slow")
def test_an_answer_goes_on_while_the_page_is_reloaded_and_is_shown_from_its_beginning(
    open_window: OpenWindow, app: Running
) -> None:
    settings = {"temperature": 8.0, "top_p": 1.0, "seed": 1}  # the starter talks nonsense for a long time
    id = app.http.post("/api/conversations", json={"settings": settings}).json()["id"]
    app.http.post(f"/api/conversations/{id}/messages", json={"parent": None, "content": "Talk"}).raise_for_status()
    page = open_window(f"/#/c/{id}").page
    page.get_by_role("button", name="Try again").click()
    answer = answers(page).last
    expect(answer.locator(".md")).to_contain_text(" ")
    page.reload()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    expect(answer.locator(".md")).to_contain_text(" ")
    before = answer.inner_text()
    page.wait_for_function("([e, length]) => e.innerText.length > length", arg=[answer.element_handle(), len(before)])
    assert len(answer.inner_text()) > len(before), "the rest is shown as it comes"
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped.").last).to_be_visible()
    stored = app.http.get(f"/api/conversations/{id}").json()["messages"][-1]
    assert stored["state"] == "stopped"
    assert stored["content"].split()[0] in before, "what had come before the reload is there"


def test_a_long_conversation_that_is_only_read_shows_no_warning(open_window: OpenWindow) -> None:
    window = open_window()
    window.forgive.append("400")
    ask(window.page, "word " * 700, wait=False)
    expect(answers(window.page).get_by_role("alert")).to_be_visible()
    expect(window.page.locator(".context-full")).to_have_count(0)


def test_a_system_prompt_can_be_the_one_of_all_new_chats(page: Any, app: Running) -> None:
    page.get_by_role("button", name="Settings of this conversation").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_role("button", name="Begin new chats with this").click()
    page.reload()
    ask(page, QUESTION)
    assert app.http.get(f"/api/conversations/{conversation_id(page)}").json()["system"] == "Be brief."
