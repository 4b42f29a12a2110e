import { expect, test } from "vitest";
import { dictionaries, languageOf } from "./index";

const { en, zh } = dictionaries;

test("every word exists in every language", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  for (const [key, value] of Object.entries(zh)) {
    expect(typeof value, key).toBe(typeof en[key as keyof typeof en]);
    if (typeof value === "string") expect(value.trim(), key).not.toBe("");
    if (Array.isArray(value)) expect(value.length, key).toBe((en[key as keyof typeof en] as unknown as unknown[]).length);
  }
});

test("nothing was left untranslated", () => {
  const theSame = new Set(["appName", "top_p", "top_k", "min_p"]);
  for (const [key, value] of Object.entries(zh)) {
    if (typeof value === "string" && !theSame.has(key)) expect(value, key).not.toBe(en[key as keyof typeof en]);
  }
});

test("the browser's languages decide, in their order", () => {
  expect(languageOf(["zh-TW", "en"])).toBe("zh");
  expect(languageOf(["fr", "de", "en-GB"])).toBe("en");
  expect(languageOf(["fr"])).toBe("en");
  expect(languageOf([])).toBe("en");
});

test("numbers read well in both", () => {
  expect(en.tokens(1)).toBe("1 token");
  expect(en.tokens(1234)).toBe("1,234 tokens");
  expect(en.thoughtFor(en.seconds(12.4))).toBe("Thought for 12 s");
  expect(zh.thoughtFor(zh.seconds(75))).toBe("思考了 1 分 15 秒");
});
