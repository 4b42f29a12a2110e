
// Text to token ids and back; conversations to prompts.
export { ChatTemplate, type TemplateMessage } from "./template.ts";
export { META_FILE, TOKENIZER_FILE, type TokenizerMeta, type TokenizerSpec, tokenizerSpec } from "./spec.ts";
export { StopStrings } from "./stop.ts";
export { TextStream } from "./stream.ts";
export { Tokenizer } from "./tokenizer.ts";
export { literalPrompt, type Prompt, trustedPrompt } from "./prompt.ts";
