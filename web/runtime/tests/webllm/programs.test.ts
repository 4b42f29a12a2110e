import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { grammarConstraints } from "../../src/api/grammar.ts";
import { LanguageModel } from "../../src/api/language_model.ts";
import type { ChatWorker } from "../../src/webllm/index.ts";
import { isValidSRI, prebuiltAppConfig, verifyIntegrity } from "../../src/webllm/index.ts";
import { IM_END, toyModel, toyTokenizer } from "../toy_model.ts";
import { xgrammar } from "../xgrammar.ts";
import * as programs from "./programs.ts";

beforeAll(() => {
  vi.spyOn(console, "info").mockImplementation(() => undefined);
  vi.spyOn(LanguageModel, "open").mockImplementation(async (_, options) => {
    options?.onProgress?.(1, 2);
    const constraints = grammarConstraints(xgrammar, toyTokenizer(), 260, [IM_END]);
    return toyModel({ constraints, logitProcessor: options?.logitProcessor }).model;
  });
});
afterAll(() => vi.restoreAllMocks());

test.each([
  ["simpleChat", [["hello", "hello"], 12, 1]],
  ["streaming", ["a stream", "a stream", 9, 8, true]],
  ["severalRounds", ["first", "first", ""]],
  ["severalModels", [["I am toy", "I am other"], "UnclearModelToUseError", "SpecifiedModelNotFoundError", "I am toy"]],
  ["embedding", [[0, 1], 3, 6]],
  ["textCompletion", [true, true]],
  ["sameSeed", true],
  ["functionCalling", ["tool_calls", "weather", '{"city":"Oslo"}']],
  ["jsonSchema", { ok: true }],
  ["interrupted", ["abort", "on"]],
  ["withoutThinking", "at once"],
  ["logitProcessor", ["!B!D", 4]],
  ["refusals", ["ModelNotLoadedError", "ModelNotFoundError", "ContextWindowSizeExceededError"]],
] as const)("%s does what it does on web-llm", async (name, expected) => {
  expect(await programs[name]()).toEqual(expected);
});

test("a page talks to a worker with a handler", async () => {
  const onmessage = programs.theWorker();
  const worker: ChatWorker = {
    onmessage: null,
    postMessage: (data, transfer) => onmessage({ data, ports: transfer } as unknown as MessageEvent),
  };
  expect(await programs.inWorker(worker as Worker)).toEqual(["from a worker", "whole", "whole"]);
});

test("what a cache holds of a model is found, and deleted", async () => {
  const urls = ["https://example.org/models/toy/manifest.json", "https://example.org/models/toy/weights.bin", "https://example.org/other"];
  const held = new Set(urls);
  const cache = { keys: async () => [...held].map((url) => ({ url })), delete: async ({ url }: { url: string }) => held.delete(url) };
  vi.stubGlobal("caches", { keys: async () => ["any"], open: async () => cache });
  expect(await programs.cached()).toEqual([true, false]);
  expect([...held]).toEqual(["https://example.org/other"]);
  vi.unstubAllGlobals();
});

test("integrity is checked as the standard has it", async () => {
  const data = new TextEncoder().encode("abc").buffer;
  const right = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
  await verifyIntegrity(data, right, "x");
  await expect(verifyIntegrity(data, right.replace("u", "v"), "x")).rejects.toMatchObject({ name: "IntegrityError", url: "x", actual: right });
  expect([isValidSRI(right), isValidSRI("md5-x")]).toEqual([true, false]);
  expect(prebuiltAppConfig.model_list).toEqual([]);
});
