import { expect, test } from "vitest";
import { parsePrefs } from "./prefs";

test("what was chosen comes back", () => {
  const chosen = { theme: "dark", language: "zh", model: "starter", sidebar: false, system: "Briefly.", documents: true } as const;
  expect(parsePrefs(JSON.stringify(chosen))).toEqual(chosen);
});

test("damaged or foreign storage is as good as none", () => {
  const none = parsePrefs(null);
  expect(none).toEqual({ theme: "system", language: null, model: null, sidebar: true, system: "", documents: false });
  for (const stored of ["{", "[]", '"x"', '{"theme":"pink","language":"xx","model":3,"system":1}']) expect(parsePrefs(stored)).toEqual(none);
});
