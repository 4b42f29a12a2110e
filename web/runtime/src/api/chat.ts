// Chat completions: a conversation becomes a prompt, its answers become OpenAI's objects.

import type { Usage as EngineUsage } from "../engine/sequence.ts";
import { HearthError } from "../errors.ts";
import type { ChatTemplate, TemplateMessage } from "../text/template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { uniqueText } from "../unique.ts";
import { answerOf, type Piece } from "./answer.ts";
import { CallWatch } from "./calls.ts";
import type { LanguageModel } from "./language_model.ts";
import { merged } from "./merged.ts";
import { choicesOf, settingsOf, stopsOf } from "./settings.ts";
import { callStructure, structureOf, toolsOf } from "./structure.ts";
import type { ChatCompletion, ChatCompletionChunk, ChatDelta, ChatMessage, ChatRequest, Logprobs, TextPart, ToolCall } from "./types.ts";
import { usageOf } from "./usage.ts";

const SYSTEM_ROLES: readonly string[] = ["system", "developer"];

/** The answer's chunks, of all choices as they come; a last one tells the usage, without choices. */
export async function* chatChunks(model: LanguageModel, request: ChatRequest, signal?: AbortSignal): AsyncGenerator<ChatCompletionChunk, void, void> {
  const tools = toolsOf(request);
  const template = model.template(tools.length > 0);
  const thinking = request.extra_body?.enable_thinking;
  const variables = {
    ...request.chat_template_kwargs,
    ...(thinking != null && { enable_thinking: thinking }),
    ...(tools.length > 0 && { tools }),
  };
  const messages = request.messages.map(templateMessage);
  const promptIds = model.tokenizer.encode(template.render(messages, variables), false);
  const keepTokens = model.engine.hasState ? sharedTokens(model.tokenizer, template, messages, variables, promptIds) : 0;
  const format = tools.length > 0 ? model.callFormat() : undefined;
  const structure = structureOf(request) ?? callStructure(request, format);
  const endIds = model.endIds(template);
  const logprobs = request.logprobs === true ? (request.top_logprobs ?? 0) : undefined;
  // A call's beginning may be a control token, which is no text elsewhere.
  const callIds = format ? [format.begin, format.end].flatMap((text) => model.tokenizer.idOf(text) ?? []) : [];
  const answers = await Promise.all(
    Array.from({ length: choicesOf(request) }, async (_, choice) => {
      const settings = { ...settingsOf(request, logprobs, choice), stopTokenIds: [...endIds] };
      const constraint = structure && (await model.constraints(structure));
      const options = { constraint, processor: model.logitProcessor, keepTokens };
      const begin = (ending: AbortSignal) => model.engine.generate(promptIds, settings, { ...options, signal: ending });
      return answerOf(begin, model.tokenizer, { stops: stopsOf(request), endIds, keep: new Set(callIds), signal });
    }),
  );
  const head = { id: `chatcmpl-${uniqueText()}`, created: Math.floor(Date.now() / 1000), model: model.name };
  const chunk = (choices: ChatCompletionChunk["choices"]): ChatCompletionChunk => ({ ...head, object: "chat.completion.chunk", choices });
  const watches = answers.map(() => (format && new CallWatch(format)));
  const begun = new Set<number>();
  const usages: EngineUsage[] = [];
  for await (const [index, piece] of merged(answers)) {
    const role = begun.has(index) ? {} : { role: "assistant" as const };
    begun.add(index);
    const { delta, isCall } = deltaOf(piece, watches[index]);
    if (piece.usage) usages.push(piece.usage);
    const told = logprobs === undefined ? {} : { logprobs: { content: [...piece.logprobs] } };
    const reason = piece.finish === undefined ? null : isCall ? "tool_calls" : piece.finish;
    if (reason !== null || Object.keys({ ...role, ...delta }).length > 0 || piece.logprobs.length > 0) {
      yield chunk([{ index, delta: { ...role, ...delta }, finish_reason: reason, ...told }]);
    }
  }
  yield { ...chunk([]), usage: usageOf(usages) };
}

/** The whole answer. */
export async function chatCompletion(model: LanguageModel, request: ChatRequest, signal?: AbortSignal): Promise<ChatCompletion> {
  const choices: ChatCompletion["choices"] = [];
  for await (const chunk of chatChunks(model, request, signal)) {
    for (const { index, delta, finish_reason: reason, logprobs } of chunk.choices) {
      const choice = (choices[index] ??= { index, message: { role: "assistant", content: "" }, finish_reason: "stop", logprobs: null });
      choice.message.content += delta.content ?? "";
      if (delta.tool_calls) choice.message.tool_calls = delta.tool_calls.map(({ index: _, ...call }): ToolCall => call);
      if (logprobs) choice.logprobs = joined(choice.logprobs, logprobs);
      if (reason !== null) choice.finish_reason = reason;
    }
    if (chunk.usage) {
      for (const { message } of choices) if (message.tool_calls && message.content === "") message.content = null;
      return { id: chunk.id, object: "chat.completion", created: chunk.created, model: chunk.model, choices, usage: chunk.usage };
    }
  }
  throw new HearthError("internal", "The answer ended without its last chunk.");
}

const joined = (before: Logprobs | null, more: Logprobs): Logprobs => ({ content: [...(before?.content ?? []), ...(more.content ?? [])] });

function deltaOf(piece: Piece, watch: CallWatch | undefined): { delta: ChatDelta; isCall: boolean } {
  const shown = watch ? watch.push(piece.text) : piece.text;
  const ended = piece.finish !== undefined ? watch?.finish() : undefined;
  const calls = ended?.calls ?? [];
  const content = shown + (ended?.content ?? "");
  const delta = {
    ...(content !== "" && { content }),
    ...(calls.length > 0 && { tool_calls: calls.map((call, index) => ({ index, ...call })) }),
  };
  return { delta, isCall: calls.length > 0 };
}

/** Tokens of a prompt that are the same whatever the user says: the system prompt, from which other conversations go on. */
function sharedTokens(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly TemplateMessage[],
  variables: Readonly<Record<string, unknown>>,
  promptIds: readonly number[],
): number {
  const head = messages.slice(0, 1).filter(({ role }) => SYSTEM_ROLES.includes(role));
  const other = tokenizer.encode(template.render([...head, { role: "user", content: "\u2022" }], variables), false);
  const departs = promptIds.findIndex((token, i) => token !== other[i]);
  return departs < 0 ? promptIds.length : departs;
}

/** A message as templates know it: text in one piece, arguments as objects. */
function templateMessage(message: ChatMessage): TemplateMessage {
  const { content, tool_calls: calls, ...rest } = message;
  return { ...rest, content: textOf(content), ...(calls && { tool_calls: calls.map(templateCall) }) };
}

function textOf(content: ChatMessage["content"]): string {
  if (content == null) return "";
  if (typeof content === "string") return content;
  const other = content.find(({ type }) => type !== "text");
  if (other !== undefined) throw new HearthError("usage", `A message has a part of type ${other.type}; this model takes text.`);
  return content.map((part) => (part as TextPart).text).join("");
}

function templateCall(call: ToolCall): unknown {
  try {
    return { ...call, function: { ...call.function, arguments: JSON.parse(call.function.arguments) as unknown } };
  } catch {
    throw new HearthError("usage", `The arguments of the call of ${call.function.name} are no JSON.`);
  }
}

