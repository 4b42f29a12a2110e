// What web-llm refuses in a request before it looks at the model, under its errors' names. The rest is refused by what computes.

import { namedError } from "./errors.ts";

interface Checked {
  readonly stream?: boolean | null;
  readonly stream_options?: unknown;
  readonly n?: number | null;
  readonly seed?: number | null;
  readonly response_format?: { type?: string; schema?: unknown; grammar?: unknown; structural_tag?: unknown } | null;
  readonly tools?: readonly { function: { name: string } }[] | null;
  readonly tool_choice?: unknown;
}

/** Of response_format: which field goes with which type, whether that type wants it, and the error's name. */
const FORMAT_FIELDS = [
  ["schema", "json_object", false, "InvalidResponseFormatError"],
  ["grammar", "grammar", true, "InvalidResponseFormatGrammarError"],
  ["structural_tag", "structural_tag", true, "InvalidResponseFormatStructuralTagError"],
] as const;

export function checkRequest({ stream, stream_options: options, n, seed, response_format: format, tools, tool_choice: choice }: Checked): void {
  if (stream === true && (n ?? 1) > 1) throw namedError("StreamingCountError", "A stream has one choice: n must be 1.");
  if (stream !== true && options != null) throw namedError("InvalidStreamOptionsError", "stream_options are for requests with stream: true.");
  if (seed != null && !Number.isInteger(seed)) throw namedError("SeedTypeError", `seed is ${seed}, but must be a whole number.`);
  for (const [field, type, isWanted, name] of FORMAT_FIELDS) {
    const isGiven = format?.[field] != null;
    if (isGiven && format?.type !== type) throw namedError(name, `response_format.${field} goes with the type ${type} alone.`);
    if (isWanted && !isGiven && format?.type === type) throw namedError(name, `response_format of the type ${type} must have ${field}.`);
  }
  const wanted = (choice as { function?: { name?: string } } | null | undefined)?.function?.name;
  if (wanted !== undefined && !(tools ?? []).some((tool) => tool.function.name === wanted)) {
    throw namedError("FunctionNotFoundError", `tool_choice names ${wanted}, which is not among the tools.`);
  }
}
