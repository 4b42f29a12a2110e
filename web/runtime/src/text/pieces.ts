// Token id to bytes: what each token adds to a text, read from the decoder that tokenizer.json declares.
//
// Nearly every generative tokenizer is one of two kinds: byte-level BPE (each character of a token stands for one byte) and
// SentencePiece (a metasymbol for the space, `<0x0A>` tokens for single bytes). For both, a text is the concatenation of its tokens'
// bytes but for one rule about its first space; so it can be streamed token by token. A decoder of another kind has no rule.

import type { Step } from "./spec.ts";

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** How token strings become bytes. */
export interface DecoderRule {
  /** Characters stand for bytes (GPT-2); then the other fields are unused. */
  readonly byteLevel: boolean;
  /** Substitutions within each token, in order. */
  readonly replace: readonly (readonly [string, string])[];
  /** `<0x0A>` tokens are single bytes. */
  readonly byteFallback: boolean;
  /** So many leading spaces of a whole text are dropped: the prefix space that encoding added. */
  readonly stripSpaces: number;
  /** This is dropped from a text's first token (the Metaspace decoder). */
  readonly dropInFirst: string | undefined;
}

const PLAIN: DecoderRule = { byteLevel: false, replace: [], byteFallback: false, stripSpaces: 0, dropInFirst: undefined };

/** Undefined where the decoder is of a kind that has no such rule. */
export function decoderRule(decoder: Step | null | undefined): DecoderRule | undefined {
  const steps = decoder ? flattened(decoder) : [];
  const fuse = steps.findIndex(({ type }) => type === "Fuse");
  const rest = steps.filter(({ type }) => type !== "Fuse");
  if (rest.length === 1 && rest[0]!.type === "ByteLevel") return { ...PLAIN, byteLevel: true };
  let rule: DecoderRule | undefined = steps.length > 0 ? PLAIN : undefined;
  steps.forEach((step, i) => {
    if (rule !== undefined && step.type !== "Fuse") rule = withStep(rule, step, fuse >= 0 && i > fuse);
  });
  return rule;
}

function withStep(rule: DecoderRule, step: Step, isFused: boolean): DecoderRule | undefined {
  const { type } = step;
  if (type === "Replace" && !isFused) {
    const old = (step["pattern"] as { String?: string }).String;
    return old ? { ...rule, replace: [...rule.replace, [old, String(step["content"])]] } : undefined;
  }
  if (type === "ByteFallback" && !isFused) return { ...rule, byteFallback: true };
  if (type === "Strip" && isFused && step["content"] === " " && step["stop"] === 0) {
    return { ...rule, stripSpaces: rule.stripSpaces + Number(step["start"]) };
  }
  if (type === "Metaspace" && !isFused && rule.replace.length === 0) {
    const mark = String(step["replacement"]);
    const drops = step["prepend_scheme"] !== "never" && step["add_prefix_space"] !== false;
    return { ...rule, replace: [[mark, " "]], dropInFirst: drops ? mark : undefined };
  }
  return undefined;
}

const flattened = (step: Step): Step[] => (step.type === "Sequence" ? (step["decoders"] as Step[]).flatMap(flattened) : [step]);

/** The byte that each printable stand-in character means, as GPT-2 published it: printable Latin-1 stands for itself, the other bytes
 * are numbered from U+0100 on. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte < 0x7f) || (byte >= 0xa1 && byte !== 0xad);
  let other = 0x100;
  return new Map(Array.from({ length: 256 }, (_, byte) => [String.fromCharCode(isPrintable(byte) ? byte : other++), byte]));
})();

const encoder = new TextEncoder();

/** What a token adds to a text; `isFirst` where it is the first one. */
export function pieceBytes(rule: DecoderRule, token: string, isFirst: boolean): Uint8Array {
  if (rule.byteLevel) {
    const bytes = Array.from(token, (character) => BYTE_OF_CHARACTER.get(character));
    // A token with a character outside of the alphabet (an added token with a space in it) stands for itself.
    return bytes.includes(undefined) ? encoder.encode(token) : Uint8Array.from(bytes as number[]);
  }
  let text = isFirst && rule.dropInFirst !== undefined ? token.replaceAll(rule.dropInFirst, "") : token;
  for (const [old, replacement] of rule.replace) text = text.replaceAll(old, replacement);
  const single = rule.byteFallback ? BYTE_TOKEN.exec(text) : null;
  return single ? Uint8Array.of(parseInt(single[1]!, 16)) : encoder.encode(text);
}
