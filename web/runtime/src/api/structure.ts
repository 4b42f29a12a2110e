// What an answer must look like, as a request says it, in the words of a constraint engine: a JSON schema, a grammar, a structural tag.

import { HearthError } from "../errors.ts";
import type { CallFormat } from "./calls.ts";
import type { ChatRequest, GenerationRequest, Tool } from "./types.ts";

export type Structure =
  | { readonly kind: "json" }
  | { readonly kind: "schema"; readonly schema: string }
  | { readonly kind: "grammar"; readonly grammar: string }
  /** In xgrammar's words, which web-llm's requests use. */
  | { readonly kind: "structural_tag"; readonly tag: unknown };

/** Undefined: anything may come. */
export function structureOf({ response_format: format }: GenerationRequest): Structure | undefined {
  switch (format?.type) {
    case undefined:
    case "text":
      return undefined;
    case "json_object":
      return format.schema === undefined ? { kind: "json" } : { kind: "schema", schema: format.schema };
    case "json_schema":
      return { kind: "schema", schema: JSON.stringify(format.json_schema.schema) };
    case "grammar":
      return { kind: "grammar", grammar: format.grammar };
    case "structural_tag":
      return { kind: "structural_tag", tag: format.structural_tag };
    default:
      throw new HearthError("usage", `response_format.type is ${String((format as { type: unknown }).type)}.`, {
        why: "Known: text, json_object, json_schema, grammar, structural_tag.",
      });
  }
}

/** The tools that the model is told of. */
export function toolsOf({ tools, tool_choice: choice }: ChatRequest): readonly Tool[] {
  return choice === "none" ? [] : (tools ?? []);
}

/** That the answer is a call of one of the tools, where the request wants one. */
export function callStructure(request: ChatRequest, format: CallFormat | undefined): Structure | undefined {
  const { tool_choice: choice } = request;
  if (choice == null || choice === "none" || choice === "auto") return undefined;
  const name = choice === "required" ? undefined : choice.function.name;
  const wanted = toolsOf(request).filter((tool) => name === undefined || tool.function.name === name);
  if (format === undefined || wanted.length === 0) {
    throw new HearthError("usage", name === undefined ? "tool_choice wants a call, but there are no tools." : `There is no tool ${name}.`);
  }
  const schemas = wanted.map(({ function: tool }) => ({
    type: "object",
    properties: { name: { const: tool.name }, [format.argumentsField]: tool.parameters ?? { type: "object" } },
    required: ["name", format.argumentsField],
    additionalProperties: false,
  }));
  const call = schemas.length === 1 ? schemas[0]! : { anyOf: schemas };
  if (format.begin === "{") return { kind: "schema", schema: JSON.stringify(call) };
  const content = { type: "json_schema", json_schema: format.end === "" ? { type: "array", items: call, minItems: 1 } : call };
  return { kind: "structural_tag", tag: { type: "structural_tag", format: { type: "tag", begin: format.begin, content, end: format.end } } };
}
