// Calls of tools in an answer's text, as the families write them.

import { uniqueText } from "../unique.ts";
import type { ToolCall } from "./types.ts";

/** How a family writes calls: each JSON {"name", "arguments"} between two texts, or an array of these. */
export interface CallFormat {
  readonly begin: string;
  readonly end: string;
  /** Under which name arguments stand. */
  readonly argumentsField: "arguments" | "parameters";
}

// The first whose beginning a template writes is the model's.
const FORMATS: readonly CallFormat[] = [
  { begin: "<tool_call>", end: "</tool_call>", argumentsField: "arguments" }, // Hermes, Qwen
  { begin: "[TOOL_CALLS]", end: "", argumentsField: "arguments" }, // Mistral
  { begin: "<|tool_call|>", end: "<|/tool_call|>", argumentsField: "arguments" }, // Phi-4
];

/** Llama 3 and what was never told of a format: an answer that is nothing but the call. */
const BARE: CallFormat = { begin: "{", end: "", argumentsField: "parameters" };

export const callFormat = (template: string): CallFormat => FORMATS.find(({ begin }) => template.includes(begin)) ?? BARE;

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
