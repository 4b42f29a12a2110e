import { expect, test } from "vitest";
import { parseRoute } from "./route";

test("an address names a conversation or a new chat", () => {
  expect(parseRoute("#/c/aB3_-x")).toBe("aB3_-x");
  expect(parseRoute("#/")).toBeNull();
  expect(parseRoute("")).toBeNull();
  expect(parseRoute("#/c/../../etc")).toBeNull();
});
