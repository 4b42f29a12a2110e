// Text completions: a prompt goes on.

import type { Usage as EngineUsage } from "../engine/sequence.ts";
import type { LogitProcessor } from "../engine/processor.ts";
import { HearthError } from "../errors.ts";
import { uniqueText } from "../unique.ts";
import { answerOf } from "./answer.ts";
import type { LanguageModel } from "./language_model.ts";
import { merged } from "./merged.ts";
import { choicesOf, settingsOf, stopsOf } from "./settings.ts";
import { structureOf } from "./structure.ts";
import type { TextCompletion, TextRequest } from "./types.ts";
import { usageOf } from "./usage.ts";

/** The completion's chunks, of all choices as they come; a last one tells the usage, without choices. */
export async function* textChunks(model: LanguageModel, request: TextRequest, signal?: AbortSignal): AsyncGenerator<TextCompletion, void, void> {
  const { prompt } = request;
  const isText = typeof prompt === "string";
  if (!isText && !(Array.isArray(prompt) && prompt.every((token) => typeof token === "number"))) {
    throw new HearthError("usage", "prompt must be a text, or a list of tokens.");
  }
  const promptIds = isText ? model.tokenizer.encode(prompt) : prompt;
  const structure = structureOf(request);
  const endIds = model.endIds();
  const wanted = request.logprobs;
  const logprobs = wanted === true ? (request.top_logprobs ?? 0) : typeof wanted === "number" ? wanted : undefined;
  const processor = request.goes_on === true ? goingOn(model.logitProcessor) : model.logitProcessor;
  const answers = await Promise.all(
    Array.from({ length: choicesOf(request) }, async (_, choice) => {
      const constraint = structure && (await model.constraints(structure));
      const settings = settingsOf(request, logprobs, choice);
      const begin = (ending: AbortSignal) => model.engine.generate(promptIds, settings, { constraint, processor, signal: ending });
      return answerOf(begin, model.tokenizer, { stops: stopsOf(request), endIds, continues: true, signal });
    }),
  );
  const head = { id: `cmpl-${uniqueText()}`, object: "text_completion" as const, created: Math.floor(Date.now() / 1000), model: model.name };
  if (request.echo === true) {
    const text = isText ? prompt : model.tokenizer.decode(prompt);
    yield { ...head, choices: answers.map((_, index) => ({ index, text, finish_reason: null })) };
  }
  const usages: EngineUsage[] = [];
  for await (const [index, piece] of merged(answers)) {
    if (piece.usage) usages.push(piece.usage);
    const told = logprobs === undefined ? {} : { logprobs: { content: [...piece.logprobs] } };
    yield { ...head, choices: [{ index, text: piece.text, finish_reason: piece.finish ?? null, ...told, ...(request.return_token_ids === true && { token_ids: [...piece.tokens] }) }] };
  }
  yield { ...head, choices: [], usage: usageOf(usages) };
}

/** The whole completion. */
export async function textCompletion(model: LanguageModel, request: TextRequest, signal?: AbortSignal): Promise<TextCompletion> {
  const choices: TextCompletion["choices"] = [];
  for await (const chunk of textChunks(model, request, signal)) {
    for (const { index, text, finish_reason: reason, logprobs, token_ids: tokens } of chunk.choices) {
      const choice = (choices[index] ??= { index, text: "", finish_reason: null, logprobs: null });
      choice.text += text;
      choice.finish_reason = reason;
      if (tokens) choice.token_ids = [...(choice.token_ids ?? []), ...tokens];
      if (logprobs) choice.logprobs = { content: [...(choice.logprobs?.content ?? []), ...(logprobs.content ?? [])] };
    }
    if (chunk.usage) return { ...chunk, choices };
  }
  throw new HearthError("internal", "The completion ended without its last chunk.");
}

/** The processor, for a text that goes on: it keeps its state. */
const goingOn = (processor: LogitProcessor | undefined): LogitProcessor | undefined =>
  processor && {
    reset: () => undefined,
    process: (logits) => processor.process(logits),
    sampled: (token) => processor.sampled(token),
  };
