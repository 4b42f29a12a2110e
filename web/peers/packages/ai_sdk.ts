// The Vercel AI SDK with its provider for web-llm, as it comes from npm.

import { webLLM } from "@browser-ai/web-llm";
import { embedMany, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";
import { Says } from "../programs/processors";

const MODEL = "stories.gguf";
const PROMPT = "Once upon a time, there was a little";
const GREEDY = { temperature: 0, maxOutputTokens: 48 };

export async function text() {
  const progress: number[] = [];
  const model = webLLM(MODEL);
  await model.createSessionWithProgress((done) => progress.push(done));
  const { text: whole, usage, finishReason } = await generateText({ model, prompt: PROMPT, ...GREEDY });
  const { textStream } = streamText({ model, messages: [{ role: "user", content: PROMPT }], ...GREEDY });
  let streamed = "";
  for await (const delta of textStream) streamed += delta;
  const plain = await generateText({ model, prompt: PROMPT, ...GREEDY, maxOutputTokens: 8, providerOptions: { "web-llm": { extra_body: { enable_thinking: false } } } });
  return { whole, streamed, usage, finishReason, progress, plain: plain.text };
}

export async function inAWorker() {
  const worker = new Worker(new URL("../workers/worker.ts", import.meta.url), { type: "module" });
  const { text: whole } = await generateText({ model: webLLM(MODEL, { worker }), prompt: PROMPT, ...GREEDY });
  worker.terminate();
  return whole;
}

export async function object() {
  const schema = z.object({ name: z.string().max(8), age: z.int().min(1).max(99), kind: z.enum(["cat", "dog"]) });
  const { output } = await generateText({ model: webLLM(MODEL), prompt: "A pet.", output: Output.object({ schema }), temperature: 1, maxOutputTokens: 400 });
  return output;
}

const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }: { city: string }) => ({ city, sky: "rain" }),
});

/**
 * The model asks for the tool as the provider tells it to. Not as a stream: this provider's reader never returns where the end of such a
 * call comes in several chunks, whatever the engine.
 */
export async function tools() {
  const said = new Says('```tool_call\n{"name": "weather", "arguments": {"city": "Oslo"}}\n```');
  const model = webLLM(MODEL, { engineConfig: { logitProcessorRegistry: new Map([[MODEL, said]]) } });
  const asked = { model, prompt: "The weather in Oslo?", tools: { weather }, stopWhen: isStepCount(1) };
  const { toolCalls, toolResults, finishReason } = await generateText(asked);
  return { calls: toolCalls.map(({ toolName, input }) => ({ toolName, input })), results: toolResults.map(({ output }) => output), finishReason };
}

export async function aborted() {
  const controller = new AbortController();
  let streamed = "";
  let failed = "";
  try {
    for await (const delta of streamText({ model: webLLM(MODEL), prompt: PROMPT, temperature: 0, abortSignal: controller.signal }).textStream) {
      streamed += delta;
      if (streamed.length > 20) controller.abort();
    }
  } catch (error) {
    failed = (error as Error).name;
  }
  return { streamed, failed };
}

export async function embeddings() {
  const { embeddings: vectors, usage } = await embedMany({ model: webLLM.embeddingModel(MODEL), values: ["The dog ran.", "Tom ate."] });
  return { lengths: vectors.map((vector) => Math.hypot(...vector)), usage };
}
