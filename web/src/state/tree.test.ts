import { expect, test } from "vitest";
import type { Message } from "../api/types";
import { lastQuestion, newestLeaf, pathTo, siblings, withMessage } from "./tree";

const message = (id: string, parent: string | null, role: Message["role"]): Message => ({
  id,
  parent,
  role,
  content: id,
  thinking: "",
  model: "",
  state: "done",
  error: "",
  hint: "",
  error_kind: "",
  finish_reason: "",
  created: "",
  usage: { prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0 },
  timings: { first_token_s: 0, total_s: 0, tok_s: 0 },
  attachments: [],
});

// A question with two answers, the second one followed by a question in two versions.
const tree = [
  message("q1", null, "user"),
  message("a1", "q1", "assistant"),
  message("a2", "q1", "assistant"),
  message("q2", "a2", "user"),
  message("q2b", "a2", "user"),
  message("a3", "q2b", "assistant"),
];
const ids = (messages: Message[]): string[] => messages.map(({ id }) => id);

test("the screen shows one branch, from the first message to the leaf", () => {
  expect(ids(pathTo(tree, "a3"))).toEqual(["q1", "a2", "q2b", "a3"]);
  expect(ids(pathTo(tree, "a1"))).toEqual(["q1", "a1"]);
  expect(pathTo(tree, null)).toEqual([]);
  expect(pathTo(tree, "gone")).toEqual([]);
});

test("versions of a message are those with the same parent and role", () => {
  expect(ids(siblings(tree, tree[2]!))).toEqual(["a1", "a2"]);
  expect(ids(siblings(tree, tree[4]!))).toEqual(["q2", "q2b"]);
  expect(ids(siblings(tree, tree[0]!))).toEqual(["q1"]);
});

test("switching to a version shows what followed it last", () => {
  expect(newestLeaf(tree, "a2")).toBe("a3");
  expect(newestLeaf(tree, "a1")).toBe("a1");
  expect(newestLeaf(tree, "q1")).toBe("a3");
});

test("a circle in a damaged file ends", () => {
  const circle = [message("x", "y", "user"), message("y", "x", "assistant")];
  expect(pathTo(circle, "x")).toHaveLength(2);
  expect(["x", "y"]).toContain(newestLeaf(circle, "x"));
});

test("a message that comes again takes its own place", () => {
  const changed = { ...tree[1]!, content: "new" };
  expect(withMessage(tree, changed)[1]).toBe(changed);
  expect(withMessage(tree, changed)).toHaveLength(tree.length);
  expect(withMessage(tree, message("z", null, "user"))).toHaveLength(tree.length + 1);
});

test("the last question on the screen is the one to edit", () => {
  expect(lastQuestion(pathTo(tree, "a3"))?.id).toBe("q2b");
  expect(lastQuestion([])).toBeUndefined();
});
