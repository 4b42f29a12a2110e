import { expect, test } from "vitest";
import { parsePrefs } from "./prefs";

test("what was chosen comes back", () => {
  const chosen = { theme: "dark", language: "zh", model: "starter", sidebar: false } as const;
  expect(parsePrefs(JSON.stringify(chosen))).toEqual(chosen);
});

test("damaged or foreign storage is as good as none", () => {
  const none = parsePrefs(null);
  expect(none).toEqual({ theme: "system", language: null, model: null, sidebar: true });
  for (const stored of ["{", "[]", '"x"', '{"theme":"pink","language":"xx","model":3}']) expect(parsePrefs(stored)).toEqual(none);
});
