// A chat template: messages in, the prompt that a model was trained on out.

import { Template } from "@huggingface/jinja";
import { HearthError } from "../errors.ts";
import { LiteralGuard } from "./literal.ts";
import { Markers } from "./markers.ts";
import type { Prompt } from "./prompt.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A message as templates know it: plain data. */
export interface TemplateMessage {
  readonly role: string;
  readonly [field: string]: unknown;
}

const MAX_TEMPLATE_LENGTH = 100_000; // the longest published ones have some 20,000
const ROLE = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;
const STRINGS = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g;
const SHORTEST_CUT = 3;
const NO_WORD = /[^\p{L}\p{N}_\s]/u;
const THINKING_TAGS = ["<think>", "</think>"];

// Ends of a turn, as the families write them. A model that closes its turn as its template does, but declares only the end of a
// text, would else go on and play the user.
const TURN_ENDS = [
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<end_of_turn>",
  "<start_function_response>",
  "<|tool_response>",
  "<turn|>",
  "<|end|>",
  "<|end_of_text|>",
  "<|endoftext|>",
  "<|END_OF_TURN_TOKEN|>",
  "<|end_of_turn|>",
  "<|return|>",
  "<|call|>",
  "<｜end▁of▁sentence｜>",
  "</s>",
];

export class ChatTemplate {
  readonly source: string;
  /** Tokens that end a turn of this format, besides those that the model declares. */
  readonly endIds: readonly number[];
  readonly #template: Template;
  readonly #guard: LiteralGuard;
  readonly #special: Readonly<Record<string, unknown>>;

  constructor(source: string, tokenizer: Tokenizer) {
    if (source.length > MAX_TEMPLATE_LENGTH) throw failure(`It is ${source.length} characters long; ${MAX_TEMPLATE_LENGTH} are accepted.`);
    this.source = source;
    this.#template = guarded(() => new Template(source));
    this.#guard = new LiteralGuard(tokenizer.control.keys(), cuts(source));
    // Where a turn has its own end, `<|end|>` is that of a message within it.
    const within = source.includes("<|return|>") ? "<|end|>" : "";
    const ends = TURN_ENDS.filter((end) => end !== within && source.includes(end));
    this.endIds = ends.flatMap((end) => tokenizer.idOf(end) ?? []);
    const { special, additional_special } = tokenizer.spec.meta;
    this.#special = { bos_token: "", eos_token: "", additional_special_tokens: additional_special, ...special };
  }

  /**
   * The prompt for a conversation.
   *
   * @param variables what else the template knows: `tools`, `enable_thinking`, ...
   * @param addGenerationPrompt end with the opening of the assistant's turn.
   */
  render(messages: readonly TemplateMessage[], variables: Readonly<Record<string, unknown>> = {}, addGenerationPrompt = true): Prompt {
    const odd = messages.find(({ role }) => typeof role !== "string" || !ROLE.test(role));
    if (odd !== undefined) throw new HearthError("usage", `A message's role is ${String(odd.role)}; it must be a word such as user.`);
    const data = { tools: null, ...variables, messages };
    const markers = new Markers([this.source, JSON.stringify(data)]);
    const marked = this.#guard.mark(data, markers) as Record<string, unknown>;
    const context = { ...this.#special, ...marked, add_generation_prompt: addGenerationPrompt };
    return markers.unmark(guarded(() => this.#template.render(context)));
  }
}

/** Strings at which a template may cut a message: its own that are no words, and the tags of thinking. */
function cuts(source: string): Set<string> {
  const strings = Array.from(source.matchAll(STRINGS), ([, single, double]) => unescaped(single ?? double ?? ""));
  return new Set([...THINKING_TAGS, ...strings.filter((text) => text.length >= SHORTEST_CUT && NO_WORD.test(text))]);
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };
const unescaped = (text: string): string => text.replace(/\\(.)/gs, (_, letter: string) => ESCAPES[letter] ?? letter);

function guarded<Value>(action: () => Value): Value {
  try {
    return action();
  } catch (error) {
    throw failure(error instanceof Error ? error.message : String(error));
  }
}

const failure = (why: string): HearthError =>
  new HearthError("template", "The model's chat template cannot be used for this conversation.", { why });
