import { expect, test } from "vitest";
import { parseEntry } from "./entry";

test("a link brings a token or a ticket, a conversation's address does not", () => {
  expect(parseEntry("#token=aZ_-9")).toEqual({ kind: "token", value: "aZ_-9" });
  expect(parseEntry("#ticket=aZ_-9")).toEqual({ kind: "ticket", value: "aZ_-9" });
  for (const hash of ["", "#/", "#/c/token", "#token=", "#token=a b", "#token=a&x=1", "#/token=a"]) expect(parseEntry(hash)).toBeNull();
});
