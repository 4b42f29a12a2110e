// A language model whose answers a test writes: to "Say: X" it says X, in single bytes. It reads what it says from the tokens in its
// pages, so that the engine has to bring them there.

import { Engine } from "../src/engine/engine.ts";
import type { Forward, ForwardBatch, ForwardInfo, ForwardResult } from "../src/engine/forward.ts";
import type { Device } from "../src/model.ts";
import { LanguageModel, type LanguageModelParts } from "../src/api/language_model.ts";
import { type TokenizerMeta, tokenizerSpec } from "../src/text/spec.ts";
import { Tokenizer } from "../src/text/tokenizer.ts";

export const [IM_START, IM_END, TOOL_CALL, TOOL_CALL_END] = [256, 257, 258, 259] as const;
const SPECIAL = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"];
const VOCAB_SIZE = 260;
const NO_LIKELIEST = { logits: new Float32Array(), tokens: new Int32Array() };

export const TEMPLATE = `
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool.function.name }} {% endfor %}Answer with <tool_call><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}`;

/** GPT-2's stand-in characters for bytes, in the order of the bytes. */
const CHARACTERS = (() => {
  let other = 0x100;
  const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte < 0x7f) || (byte >= 0xa1 && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : other++));
})();

export function toyTokenizer(meta: Partial<TokenizerMeta> = {}): Tokenizer {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
  const json = {
    added_tokens: SPECIAL.map((content, i) => ({ id: 256 + i, content, special: i < 2, normalized: false })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", vocab: Object.fromEntries(CHARACTERS.map((text, byte) => [text, byte])), merges: [] },
  };
  const facts = { version: 2, bos_id: null, eos_ids: [IM_END], add_bos: false, add_eos: false, added_by_json: false };
  const rest = { special: { eos_token: "<|im_end|>" }, chat_template: TEMPLATE, named_templates: {}, additional_special: [], call_formats: { default: "hermes" } };
  return new Tokenizer(tokenizerSpec(JSON.stringify(json), JSON.stringify({ ...facts, ...rest, ...meta })));
}

export class SayingForward implements Forward {
  readonly info: ForwardInfo = {
    vocabSize: VOCAB_SIZE,
    hiddenSize: 3,
    maxTokens: 64,
    maxSequences: 4,
    maxLogitRows: 4,
    pageTokens: 16,
    maxPosition: 2048,
    likeliest: 0,
  };
  readonly numPages = 256;
  readonly numSlots = 0;
  readonly #tokenizer: Tokenizer;
  readonly #pages = new Int32Array(this.numPages * this.info.pageTokens).fill(-1);
  /** Awaited by every forward. */
  gate: Promise<void> = Promise.resolve();
  closed = false;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  async forward({ tokenIds, positions, tokenSeq, blockTable, blockTableStride, logitRows }: ForwardBatch): Promise<ForwardResult> {
    await this.gate;
    const size = this.info.pageTokens;
    const place = (i: number, position: number): number => blockTable[tokenSeq[i]! * blockTableStride + Math.floor(position / size)]! * size + (position % size);
    tokenIds.forEach((token, i) => (this.#pages[place(i, positions[i]!)] = token));
    const next = Array.from(logitRows, (i) => this.#next(Array.from({ length: positions[i]! + 1 }, (_, p) => this.#pages[place(i, p)]!)));
    const logits = new Float32Array(next.length * VOCAB_SIZE);
    next.forEach((token, row) => (logits[row * VOCAB_SIZE + token] = 50));
    return { argmax: Int32Array.from(next), logits, hidden: Float32Array.from([...tokenIds].flatMap((token) => [token, 1, 0])), likeliest: NO_LIKELIEST };
  }

  close(): void {
    this.closed = true;
  }

  #next(tokens: readonly number[]): number {
    const turn = tokens.lastIndexOf(IM_START);
    const answered = indexAfter(tokens, this.#bytes("</think>"), turn) ?? indexAfter(tokens, this.#bytes("assistant\n"), turn);
    const said = indexAfter(tokens, this.#bytes("Say: "), 0);
    if (turn < 0 || answered === undefined || said === undefined) return IM_END;
    const wanted = tokens.slice(said, tokens.indexOf(IM_END, said));
    return wanted[tokens.length - answered] ?? IM_END;
  }

  #bytes(text: string): number[] {
    return this.#tokenizer.encode(text, false);
  }
}

/** Where the first place of `sought` from `from` on ends. */
function indexAfter(tokens: readonly number[], sought: readonly number[], from: number): number | undefined {
  for (let at = Math.max(0, from); at + sought.length <= tokens.length; at++) {
    if (sought.every((token, i) => tokens[at + i] === token)) return at + sought.length;
  }
  return undefined;
}

export function toyModel(parts: Partial<LanguageModelParts> = {}, meta: Partial<TokenizerMeta> = {}): { model: LanguageModel; forward: SayingForward } {
  const tokenizer = toyTokenizer(meta);
  const forward = new SayingForward(tokenizer);
  const engine = new Engine(forward, [IM_END]);
  const device = (): Device => ({ kind: "wasm", name: "toy", threads: 1, why: "", isChecked: false, variants: {} });
  return { model: new LanguageModel({ name: "toy", engine, tokenizer, endIds: [IM_END], device, ...parts }), forward };
}
