// JSON schemas as xgrammar keeps to them. It passes over what it does not know; an answer would then look as if it fitted. So what is
// measured not to be kept to is refused, or put in words that are.

import { HearthError } from "../errors.ts";

type Schema = Record<string, unknown>;

/** Of version 0.1.27. `oneOf` is taken as `anyOf`. */
const NOT_KEPT = ["multipleOf", "uniqueItems", "not", "if", "then", "else", "contains", "dependentRequired", "dependentSchemas", "dependencies"];

// Where schemas stand in a schema: as the value itself, in a list, by names.
const WHOLE = ["items", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties"];
const LISTS = ["prefixItems", "anyOf", "oneOf", "allOf"];
const NAMED = ["properties", "patternProperties", "$defs", "definitions"];

const BOUNDS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

const isObject = (value: unknown): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);

/** The schema in words that are kept to. Fails with a HearthError where there are none. */
export function keptSchema(text: string): string {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    throw new HearthError("usage", "The JSON schema is no JSON.", { why: String(error) });
  }
  return JSON.stringify(kept(schema));
}

function kept(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const lost = NOT_KEPT.find((word) => word in schema) ?? (Array.isArray(schema["allOf"]) && schema["allOf"].length > 1 ? "allOf" : undefined);
  if (lost !== undefined) throw notKept(lost);
  const entries = Object.entries(withBounds(schema)).map(([word, value]): [string, unknown] => {
    if (WHOLE.includes(word)) return [word, kept(value)];
    if (LISTS.includes(word) && Array.isArray(value)) return [word, value.map(kept)];
    if (NAMED.includes(word) && isObject(value)) return [word, Object.fromEntries(Object.entries(value).map(([name, each]) => [name, kept(each)]))];
    return [word, value];
  });
  return Object.fromEntries(entries);
}

/** Bounds of whole numbers as xgrammar keeps to them exactly: both, and both in. It does not of others. */
function withBounds(schema: Schema): Schema {
  const given = BOUNDS.find((word) => word in schema);
  if (given === undefined) return schema;
  if (schema["type"] !== "integer") throw notKept(given);
  const bound = (word: string, otherwise: number): number => Number(schema[word] ?? otherwise);
  const { exclusiveMinimum: above, exclusiveMaximum: below, ...rest } = schema;
  const least = Math.ceil(bound("minimum", Number.MIN_SAFE_INTEGER));
  const most = Math.floor(bound("maximum", Number.MAX_SAFE_INTEGER));
  return {
    ...rest,
    minimum: above === undefined ? least : Math.max(least, Math.floor(Number(above)) + 1),
    maximum: below === undefined ? most : Math.min(most, Math.ceil(Number(below)) - 1),
  };
}

const notKept = (word: string): HearthError =>
  new HearthError("usage", `The JSON schema says ${word}, which an answer cannot be kept to in a page.`, {
    why: "The grammar engine would pass over it.",
    hint: "Leave it out, and check the answer yourself.",
  });
