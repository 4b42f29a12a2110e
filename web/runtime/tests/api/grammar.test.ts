import { expect, test } from "vitest";
import { grammarConstraints, localBackend, openAi } from "../../src/api/index.ts";
import type { Constraint } from "../../src/engine/constraint.ts";
import { allows } from "../../src/engine/constraint.ts";
import { IM_END, toyModel, toyTokenizer } from "../toy_model.ts";
import { xgrammar } from "../xgrammar.ts";

const tokenizer = toyTokenizer();
const constraints = grammarConstraints(xgrammar, tokenizer, 260, [IM_END]);
const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" }, kind: { enum: ["a", "b"] } },
  required: ["name", "age", "kind"],
  additionalProperties: false,
};
const TOOL = { type: "function" as const, function: { name: "weather", parameters: { type: "object", properties: { city: { enum: ["Oslo"] } }, required: ["city"], additionalProperties: false } } };

/** Whether a text, byte by byte, is let through to its end. */
async function lets(constraint: Constraint, text: string): Promise<boolean> {
  for (const token of [...tokenizer.encode(text, false), IM_END]) {
    if (!allows((await constraint.mask())!, token)) return false;
    await constraint.accept(token);
  }
  constraint.close();
  return true;
}

test("a schema lets through what fits it and nothing else", async () => {
  const schema = { kind: "schema", schema: JSON.stringify(PERSON) } as const;
  for (const [text, fits] of [
    ['{"name": "Å🔥", "age": 3, "kind": "a"}', true],
    ['{"name": "x", "age": 3.5, "kind": "a"}', false],
    ['{"name": "x", "age": 3, "kind": "c"}', false],
    ['{"name": "x", "age": 3}', false],
    ["[]", false],
  ] as const) {
    expect(await lets(await constraints(schema), text), text).toBe(fits);
  }
});

test("what a schema says is kept to or refused, never passed over", async () => {
  const schema = (words: object) => constraints({ kind: "schema", schema: JSON.stringify(words) });
  const list = { type: "object", properties: { not: { type: "array", items: { type: "integer", exclusiveMinimum: 2 }, minItems: 1 } }, required: ["not"] };
  expect(await lets(await schema(list), '{"not": [3]}')).toBe(true);
  expect(await lets(await schema(list), '{"not": [2]}')).toBe(false);
  for (const words of [{ multipleOf: 5 }, { anyOf: [{ not: { type: "string" } }] }, { type: "number", exclusiveMaximum: 1 }, { allOf: [{}, {}] }]) {
    await expect(schema(words)).rejects.toThrow("cannot be kept to");
  }
});

test("control tokens never come inside of a string", async () => {
  const constraint = await constraints({ kind: "json" });
  for (const token of tokenizer.encode('{"', false)) await constraint.accept(token);
  const mask = (await constraint.mask())!;
  expect([256, 257].map((token) => allows(mask, token))).toEqual([false, false]);
});

test("an answer keeps to the response_format, whatever the model would say", async () => {
  const { model } = toyModel({ constraints });
  const create = openAi(localBackend(model)).chat.completions.create;
  const messages = [{ role: "user", content: "Say: no JSON at all" }];
  const named = { type: "json_schema" as const, json_schema: { name: "kind", schema: { enum: ["yes", "no"] } } };
  for (const temperature of [0, 1]) {
    const answer = await create({ messages, response_format: named, temperature, seed: 3 });
    expect(["yes", "no"]).toContain(JSON.parse(answer.choices[0]!.message.content!));
    expect(answer.choices[0]!.finish_reason).toBe("stop");
  }
  const grammar = await create({ messages, response_format: { type: "grammar", grammar: 'root ::= "abc" | "abd"' }, temperature: 0 });
  expect(grammar.choices[0]!.message.content).toMatch(/^ab[cd]$/);
});

test("a call that the request wants is made, of the tool it names", async () => {
  const { model } = toyModel({ constraints });
  const create = openAi(localBackend(model)).chat.completions.create;
  // What the model would say is a call, too, but of a tool that there is not.
  const messages = [{ role: "user", content: 'Say: <tool_call>{"name": "leather", "arguments": {"city": "Oslo"}}</tool_call>' }];
  for (const choice of ["required", { type: "function", function: { name: "weather" } }] as const) {
    const answer = await create({ messages, tools: [TOOL], tool_choice: choice, temperature: 0 });
    const calls = answer.choices[0]!.message.tool_calls!;
    expect(calls.map(({ function: { name, arguments: args } }) => [name, JSON.parse(args) as unknown])).toEqual([["weather", { city: "Oslo" }]]);
    expect(answer.choices[0]!.finish_reason).toBe("tool_calls");
  }
  const unknown = { type: "function" as const, function: { name: "other" } };
  await expect(create({ messages, tools: [TOOL], tool_choice: unknown })).rejects.toThrow("There is no tool other.");
});

test("a structure that is none is the request's own error", async () => {
  await expect(constraints({ kind: "grammar", grammar: "root ::= (" })).rejects.toMatchObject({ kind: "usage" });
  await expect(constraints({ kind: "schema", schema: '{"type": 5}' })).rejects.toMatchObject({ kind: "usage" });
  expect(await lets(await constraints({ kind: "schema", schema: '{"enum": [1]}' }), "1")).toBe(true); // the engine works on
});
