import { expect, test } from "vitest";
import { actionOf } from "./keys";

const press = (key: string, more: Partial<Parameters<typeof actionOf>[0]> = {}): Parameters<typeof actionOf>[0] => ({
  key,
  mod: false,
  shift: false,
  alt: false,
  typing: false,
  emptyInput: false,
  ...more,
});

test("shortcuts do what the help says", () => {
  expect(actionOf(press("O", { mod: true, shift: true }))).toBe("newChat");
  expect(actionOf(press("k", { mod: true }))).toBe("search");
  expect(actionOf(press("Enter", { mod: true, shift: true }))).toBe("regenerate");
  expect(actionOf(press("Escape"))).toBe("stop");
  expect(actionOf(press("Escape", { shift: true }))).toBe("focus");
  expect(actionOf(press("?", { shift: true }))).toBe("help");
});

test("a question mark in a message is a question mark", () => {
  expect(actionOf(press("?", { shift: true, typing: true }))).toBeNull();
  expect(actionOf(press("/", { typing: true }))).toBeNull();
});

test("the arrow edits the last message only from an empty box", () => {
  expect(actionOf(press("ArrowUp", { typing: true, emptyInput: true }))).toBe("editLast");
  expect(actionOf(press("ArrowUp", { typing: true }))).toBeNull();
});

test("other people's shortcuts are left alone", () => {
  for (const key of ["c", "v", "r", "t", "f"]) expect(actionOf(press(key, { mod: true })), key).toBeNull();
  for (const key of ["R", "T", "I"]) expect(actionOf(press(key, { mod: true, shift: true })), key).toBeNull();
  expect(actionOf(press("k", { mod: true, alt: true }))).toBeNull();
});
