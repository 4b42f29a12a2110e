// Programs as people write them for web-llm. They compile against that package's own types, and against ours; here they run on ours.

import * as webllm from "@mlc-ai/web-llm";

const appConfig: webllm.AppConfig = {
  model_list: [
    { model: "https://example.org/models/toy", model_id: "toy", model_lib: "https://example.org/toy.wasm", overrides: { context_window_size: 1024, temperature: 0 } },
    { model: "https://example.org/models/other", model_id: "other", model_lib: "" },
    { model: "https://example.org/models/embedder", model_id: "embedder", model_lib: "", model_type: webllm.ModelType.embedding },
  ],
};

const user = (content: string): webllm.ChatCompletionMessageParam => ({ role: "user", content });

export async function simpleChat(): Promise<unknown> {
  const reports: webllm.InitProgressReport[] = [];
  const initProgressCallback = (report: webllm.InitProgressReport): void => void reports.push(report);
  const engine: webllm.MLCEngineInterface = await webllm.CreateMLCEngine("toy", { appConfig, initProgressCallback, logLevel: "INFO" });
  const reply = await engine.chat.completions.create({
    messages: [{ role: "system", content: "Be brief." }, user("Say: hello")],
    n: 2,
    temperature: 0,
    max_tokens: 256,
  });
  const told = [reply.choices.map(({ message }) => message.content), reply.usage?.completion_tokens, reports.at(-1)?.progress];
  await engine.unload();
  return told;
}

export async function streaming(): Promise<unknown> {
  const engine = await webllm.CreateMLCEngine("toy", { appConfig });
  const request: webllm.ChatCompletionRequest = {
    stream: true,
    stream_options: { include_usage: true },
    messages: [user("Say: a stream")],
    logprobs: true,
    top_logprobs: 2,
  };
  const chunks = await engine.chat.completions.create(request);
  let message = "";
  let usage: webllm.CompletionUsage | undefined;
  let logprobs = 0;
  for await (const chunk of chunks) {
    message += chunk.choices[0]?.delta.content ?? "";
    logprobs += chunk.choices[0]?.logprobs?.content?.length ?? 0;
    if (chunk.usage) usage = chunk.usage;
  }
  return [message, await engine.getMessage(), usage?.completion_tokens, logprobs, (await engine.runtimeStatsText()).includes("decoding")];
}

export async function severalRounds(): Promise<unknown> {
  const engine = new webllm.MLCEngine({ appConfig });
  await engine.reload("toy");
  const messages: webllm.ChatCompletionMessageParam[] = [user("Say: first")];
  const first = await engine.chatCompletion({ messages });
  messages.push({ role: "assistant", content: first.choices[0]!.message.content }, user("And again?"));
  const second = await engine.chatCompletion({ messages });
  await engine.resetChat();
  return [first.choices[0]?.message.content, second.choices[0]?.message.content, await engine.getMessage()];
}

export async function inWorker(worker: Worker): Promise<unknown> {
  const engine = await webllm.CreateWebWorkerMLCEngine(worker, "toy", { appConfig });
  const chunks = await engine.chat.completions.create({ messages: [user("Say: from a worker")], stream: true });
  let message = "";
  for await (const chunk of chunks) message += chunk.choices[0]?.delta.content ?? "";
  const whole = await engine.chat.completions.create({ messages: [user("Say: whole")] });
  return [message, whole.choices[0]?.message.content, await engine.getMessage()];
}

export function theWorker(): (event: MessageEvent) => void {
  const handler = new webllm.WebWorkerMLCEngineHandler();
  return (event) => handler.onmessage(event);
}

export async function severalModels(): Promise<unknown> {
  const engine = await webllm.CreateMLCEngine(["toy", "other"], { appConfig }, [{ temperature: 0 }, { top_p: 0.5 }]);
  const ask = async (model: string): Promise<string | null | undefined> => {
    const reply = await engine.chat.completions.create({ messages: [user(`Say: I am ${model}`)], model });
    return reply.choices[0]?.message.content;
  };
  const both = await Promise.all([ask("toy"), ask("other")]);
  const unclear = await engine.chat.completions.create({ messages: [user("x")] }).catch((error: Error) => error.name);
  const unknown = await ask("third").catch((error: Error) => error.name);
  return [both, unclear, unknown, await engine.getMessage("toy")];
}

export async function embedding(): Promise<unknown> {
  const engine = await webllm.CreateMLCEngine("embedder", { appConfig });
  const { data, usage }: webllm.CreateEmbeddingResponse = await engine.embeddings.create({ input: ["one", "two"], model: "embedder" });
  return [data.map(({ index }) => index), data[0]!.embedding.length, usage.prompt_tokens];
}

export async function textCompletion(): Promise<unknown> {
  const engine = await webllm.CreateMLCEngine("toy", { appConfig });
  const request: webllm.CompletionCreateParams = { prompt: "Once", echo: true, max_tokens: 4, temperature: 0 };
  const reply = await engine.completions.create(request);
  const chunks = await engine.completions.create({ prompt: "Once", stream: true, max_tokens: 2 });
  let count = 0;
  for await (const chunk of chunks) count += chunk.choices.length;
  return [reply.choices[0]?.text.startsWith("Once"), count > 0];
}

export async function sameSeed(): Promise<unknown> {
  const engine = await webllm.CreateMLCEngine("toy", { appConfig });
  const ask = (seed: number) => engine.chat.completions.create({ messages: [user("Say: dice")], temperature: 2, top_p: 0.9, seed, logit_bias: { "33": -5 }, frequency_penalty: 0.1, presence_penalty: 0.1 });
  const texts = (await Promise.all([ask(7), ask(7)])).map(({ choices }) => choices[0]?.message.content);
  return texts[0] === texts[1];
}

export async function functionCalling(): Promise<unknown> {
  const tools: webllm.ChatCompletionTool[] = [
    { type: "function", function: { name: "weather", description: "The weather of a city", parameters: { type: "object", properties: { city: { type: "string" } } } } },
  ];
  const engine = await webllm.CreateMLCEngine("toy", { appConfig });
  const messages = [user('Say: <tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>')];
  const request: webllm.ChatCompletionRequestNonStreaming = { messages, tools, tool_choice: "auto", stream: false };
  const { choices } = await engine.chat.completions.create(request);
  const call = choices[0]!.message.tool_calls?.[0];
  messages.push({ role: "assistant", tool_calls: choices[0]!.message.tool_calls ?? [] }, { role: "tool", tool_call_id: call?.id ?? "", content: "rain" });
  return [choices[0]?.finish_reason, call?.function.name, call?.function.arguments];
}

export async function jsonSchema(): Promise<unknown> {
  const schema = JSON.stringify({ type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] });
  const format: webllm.ResponseFormat = { type: "json_object", schema };
  const engine = await webllm.CreateMLCEngine("toy", { appConfig });
  const reply = await engine.chatCompletion({ messages: [user('Say: {"ok": true}')], response_format: format, max_tokens: 32 });
  return JSON.parse(reply.choices[0]!.message.content ?? "") as unknown;
}

export async function interrupted(): Promise<unknown> {
  const engine = await webllm.CreateMLCEngine("toy", { appConfig });
  let reason: string | null = null;
  for await (const chunk of await engine.chat.completions.create({ messages: [user(`Say: ${"x".repeat(200)}`)], stream: true })) {
    void engine.interruptGenerate();
    reason = chunk.choices[0]?.finish_reason ?? reason;
  }
  const after = await engine.chat.completions.create({ messages: [user("Say: on")], stop: ["!"] });
  return [reason, after.choices[0]?.message.content];
}

export async function withoutThinking(): Promise<unknown> {
  const engine = await webllm.CreateMLCEngine("toy", { appConfig });
  const reply = await engine.chat.completions.create({ messages: [user("Say: at once")], extra_body: { enable_thinking: false }, ignore_eos: false });
  return reply.choices[0]?.message.content;
}

class OnlyCapitals implements webllm.LogitProcessor {
  readonly drawn: number[] = [];

  processLogits(logits: Float32Array): Float32Array {
    return logits.fill(-100, 97, 123); // small letters are bytes 97 to 122
  }

  processSampledToken(token: number): void {
    this.drawn.push(token);
  }

  resetState(): void {
    this.drawn.length = 0;
  }
}

export async function logitProcessor(): Promise<unknown> {
  const processor = new OnlyCapitals();
  const engine = await webllm.CreateMLCEngine("toy", { appConfig, logitProcessorRegistry: new Map([["toy", processor]]) });
  const reply = await engine.chat.completions.create({ messages: [user("Say: aBcD")], temperature: 0, logit_bias: { "33": 1 }, max_tokens: 4 });
  return [reply.choices[0]?.message.content, processor.drawn.length];
}

export async function refusals(): Promise<unknown> {
  const nameOf = (action: Promise<unknown>): Promise<string> => action.then(() => "", (error: Error) => error.name);
  const engine = new webllm.MLCEngine({ appConfig });
  const notLoaded = await nameOf(engine.chat.completions.create({ messages: [user("x")] }));
  const notKnown = await nameOf(engine.reload("nothing"));
  engine.setAppConfig(appConfig);
  await engine.reload("toy");
  const tooLong = await nameOf(engine.chat.completions.create({ messages: [user("x".repeat(5000))] }));
  return [notLoaded, notKnown, tooLong];
}

export async function cached(): Promise<unknown> {
  const before = await webllm.hasModelInCache("toy", appConfig);
  await webllm.deleteModelAllInfoInCache("toy", appConfig);
  return [before, await webllm.hasModelInCache("toy", appConfig)];
}
