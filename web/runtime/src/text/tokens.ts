// Which tokens of a tokenizer are control tokens: a model's punctuation, which ends a turn or begins a call. A text that came from a
// user, a file or a web page must not be able to write them, or it could end its own turn and speak as somebody else.

import type { AddedToken, TokenizerSpec } from "./spec.ts";

// Some publishers mark tokens of this shape as ordinary; no text needs them as one token.
const CONTROL_SHAPE = /^(?:<\|[^|>]*\|>|<｜[^｜>]*｜>)$/;

/** Text -> the tokens that a text may not write: those declared special, the named ones, the ends of an answer, those of the shape. */
export function controlTokens({ json, meta }: TokenizerSpec): Map<string, AddedToken> {
  const named = new Set(Object.values(meta.special));
  const isControl = ({ id, content, special }: AddedToken): boolean =>
    special === true || meta.eos_ids.includes(id) || id === meta.bos_id || named.has(content) || CONTROL_SHAPE.test(content);
  return new Map((json.added_tokens ?? []).filter(isControl).map((token) => [token.content, token]));
}
