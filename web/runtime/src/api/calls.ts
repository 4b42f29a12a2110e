// Calls of tools in an answer's text, as the families write them.

import { HearthError } from "../errors.ts";
import { uniqueText } from "../unique.ts";
import type { ToolCall } from "./types.ts";

/** How a family writes calls: each JSON {"name", "arguments"} between two texts, or an array of these. */
export interface CallFormat {
  readonly begin: string;
  readonly end: string;
  /** Under which name arguments stand. */
  readonly argumentsField: "arguments" | "parameters";
}

/** An answer that is nothing but the call. */
const BARE: CallFormat = { begin: "{", end: "", argumentsField: "parameters" };

// By the names that the compiler has for them.
const FORMATS: ReadonlyMap<string, CallFormat> = new Map([
  ["hermes", { begin: "<tool_call>", end: "</tool_call>", argumentsField: "arguments" }], // Qwen's, too
  ["mistral", { begin: "[TOOL_CALLS]", end: "", argumentsField: "arguments" }],
  ["llama3", BARE],
]);

/**
 * The format in which a chat template has tools called.
 *
 * @param formats of the bundle; undefined: it does not say.
 * @param template its name.
 */
export function callFormat(model: string, formats: Readonly<Record<string, string | null>> | undefined, template: string): CallFormat {
  const what = `The model ${model} cannot be given tools in a page.`;
  if (formats === undefined) {
    throw new HearthError("usage", what, {
      why: "Its bundle does not say how it calls them.",
      hint: "Compile it again for pages: hearth compile MODEL --target wasm32 --force.",
    });
  }
  const name = formats[template] ?? null;
  if (name === null) throw new HearthError("usage", what, { why: "Its chat template knows no tools, or calls in no known form." });
  const format = FORMATS.get(name);
  if (format !== undefined) return format;
  throw new HearthError("usage", what, {
    why: `It calls them in the format ${name}; pages read ${[...FORMATS.keys()].join(", ")}.`,
    hint: "hearth serve reads it.",
  });
}

export interface ParsedAnswer {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

/** What of an answer is text for the user, and which calls it holds. What is no sound call is text. */
export function parseCalls(text: string, format: CallFormat): ParsedAnswer {
  const isBare = format.begin === BARE.begin;
  const at = text.indexOf(format.begin);
  if (at < 0 || (isBare && text.slice(0, at).trim() !== "")) return { content: text, calls: [] };
  const written = isBare ? [text.slice(at)] : text.slice(at).split(format.begin).slice(1);
  const calls = written.map((part) => callsIn(format.end === "" ? part : part.split(format.end)[0]!));
  if (calls.some((each) => each === undefined)) return { content: text, calls: [] };
  return { content: text.slice(0, at).trim(), calls: calls.flatMap((each) => each!) };
}

function callsIn(text: string): ToolCall[] | undefined {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return undefined;
  }
  const calls = (Array.isArray(found) ? found : [found]).map((each: unknown): ToolCall | undefined => {
    if (typeof each !== "object" || each === null) return undefined;
    const { name, arguments: given, parameters } = each as Record<string, unknown>;
    const args = given ?? parameters ?? {};
    if (typeof name !== "string" || (typeof args !== "object" && typeof args !== "string")) return undefined;
    const written = typeof args === "string" ? args : JSON.stringify(args);
    return { id: `call_${uniqueText()}`, type: "function", function: { name, arguments: written } };
  });
  return calls.includes(undefined) ? undefined : (calls as ToolCall[]);
}

/**
 * Lets text through until a call may have begun, and holds the rest back until the answer has ended.
 */
export class CallWatch {
  readonly #format: CallFormat;
  #held = "";
  #shown = "";
  #holds = false;

  constructor(format: CallFormat) {
    this.#format = format;
  }

  /** The part of the answer that is surely no call. */
  push(text: string): string {
    this.#held += text;
    const { begin } = this.#format;
    if (this.#holds) return "";
    const at = this.#held.indexOf(begin);
    const isBare = begin === BARE.begin;
    // A bare call is the whole answer: any other beginning is text.
    if (isBare && (this.#shown + this.#held).trim() !== "" && !(this.#shown + this.#held).trimStart().startsWith(begin)) {
      return this.#release(this.#held.length);
    }
    if (at >= 0) {
      this.#holds = true;
      return isBare ? "" : this.#release(at);
    }
    if (isBare) return "";
    let undecided = Math.min(this.#held.length, begin.length - 1);
    while (undecided > 0 && !begin.startsWith(this.#held.slice(-undecided))) undecided--;
    return this.#release(this.#held.length - undecided);
  }

  /** The answer has ended: the calls that were held back, or their text where they are none. */
  finish(): ParsedAnswer {
    const parsed = parseCalls(this.#held, this.#format);
    return parsed.calls.length > 0 ? parsed : { content: this.#held, calls: [] };
  }

  #release(count: number): string {
    const text = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    this.#shown += text;
    return text;
  }
}
