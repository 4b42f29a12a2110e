// Programs in the manner of web-llm's examples get-started, streaming, multi-round-chat, seed-to-reproduce, qwen3, text-completion.

import * as webllm from "@mlc-ai/web-llm";

const MODEL = "stories.gguf";
const PROMPT = "Once upon a time, there was a little";

export const user = (content: string): webllm.ChatCompletionMessageParam => ({ role: "user", content });

export async function getStarted() {
  const reports: webllm.InitProgressReport[] = [];
  const engine: webllm.MLCEngineInterface = await webllm.CreateMLCEngine(
    MODEL,
    { initProgressCallback: (report) => reports.push(report), logLevel: "INFO" },
    { context_window_size: 1_000_000 }, // more than the model holds
  );
  const reply = await engine.chat.completions.create({
    messages: [user(PROMPT)],
    n: 3,
    temperature: 1.5,
    max_tokens: 24,
    logit_bias: { "403": -100, "407": 5 },
    logprobs: true,
    top_logprobs: 2,
  });
  const greedy = await engine.chat.completions.create({ messages: [user(PROMPT)], temperature: 0, max_tokens: 48 });
  return { reply, greedy, reports };
}

export async function streaming() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const request: webllm.ChatCompletionRequest = {
    stream: true,
    stream_options: { include_usage: true },
    messages: [user(PROMPT)],
    temperature: 0,
    max_tokens: 48,
    logprobs: true,
    top_logprobs: 2,
  };
  const chunks: webllm.ChatCompletionChunk[] = [];
  let message = "";
  for await (const chunk of await engine.chat.completions.create(request)) {
    message += chunk.choices[0]?.delta?.content || "";
    chunks.push(chunk);
  }
  return { message, remembered: await engine.getMessage(), chunks, stats: await engine.runtimeStatsText() };
}

export async function severalRounds() {
  const engine: webllm.MLCEngineInterface = await webllm.CreateMLCEngine(MODEL);
  const messages: webllm.ChatCompletionMessageParam[] = [
    { role: "system", content: "One day, a girl named Lily went to the park with her mom and her dog. ".repeat(4) },
    user("She saw a big ball."),
  ];
  const first = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 32 });
  messages.push({ role: "assistant", content: await engine.getMessage() }, user(" Then"));
  const second = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 8 });
  return { first, second };
}

export async function sameSeed() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const request: webllm.ChatCompletionRequestNonStreaming = { messages: [user(PROMPT)], n: 3, temperature: 1.2, max_tokens: 32, seed: 42 };
  const texts = async () => (await engine.chat.completions.create(request)).choices.map(({ message }) => message.content);
  const [first, second] = [await texts(), await texts()];
  return { first, second, last: await engine.getMessage() };
}

/** Thinks by default, and not where a request says so. */
export async function thinking() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const ask = async (extra_body?: webllm.ChatCompletionRequestBase["extra_body"]) => {
    const request: webllm.ChatCompletionRequestStreaming = { stream: true, messages: [user(PROMPT)], temperature: 0, max_tokens: 8, ...(extra_body && { extra_body }) };
    for await (const _ of await engine.chat.completions.create(request));
    return engine.getMessage();
  };
  return { thinks: await ask(), saysSo: await ask({ enable_thinking: true }), doesNot: await ask({ enable_thinking: false, enable_latency_breakdown: true }) };
}

export async function textCompletion() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const reply = await engine.completions.create({ prompt: PROMPT, echo: true, n: 2, temperature: 0, max_tokens: 48, logprobs: true, top_logprobs: 2 });
  let streamed = "";
  for await (const { choices } of await engine.completions.create({ prompt: PROMPT, stream: true, temperature: 0, max_tokens: 48 })) streamed += choices[0]?.text ?? "";
  return { reply, streamed };
}

export async function interrupted() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  let reason: string | null = null;
  let chunks = 0;
  for await (const { choices } of await engine.chat.completions.create({ messages: [user(PROMPT)], stream: true, ignore_eos: true })) {
    if (++chunks === 5) engine.interruptGenerate();
    reason = choices[0]?.finish_reason ?? reason;
  }
  const partly = await engine.getMessage();
  const after = await engine.chat.completions.create({ messages: [user(PROMPT)], temperature: 0, max_tokens: 48, stop: [" named"] });
  return { reason, partly, after: after.choices[0]!.message.content };
}
