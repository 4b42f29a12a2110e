// Programs in the manner of web-llm's examples get-started-web-worker, service-worker, multi-models, logit-processor, embeddings,
// abort-reload, cache-usage, simple-chat, integrity-verification.

import * as webllm from "@mlc-ai/web-llm";
import { user } from "./chats";
import { AlwaysFirst } from "./processors";

const MODEL = "stories.gguf";
const OTHER = "tales.gguf";
const PROMPT = "Once upon a time, there was a little";
const GREEDY = { temperature: 0, max_tokens: 48 };

const newWorker = () => new Worker(new URL("../workers/worker.ts", import.meta.url), { type: "module" });
const chatOf = (content: string | null | undefined): string => content ?? "";

async function streamed(engine: webllm.MLCEngineInterface, model?: string): Promise<string> {
  const request: webllm.ChatCompletionRequestStreaming = { stream: true, stream_options: { include_usage: true }, messages: [user(PROMPT)], ...GREEDY, ...(model && { model }) };
  let message = "";
  for await (const chunk of await engine.chat.completions.create(request)) message += chunk.choices[0]?.delta?.content || "";
  return message;
}

export async function webWorker() {
  const worker = newWorker();
  const texts: string[] = [];
  const engine: webllm.MLCEngineInterface = await webllm.CreateWebWorkerMLCEngine(worker, MODEL, { initProgressCallback: ({ text }) => texts.push(text) });
  const message = await streamed(engine);
  const several = await engine.chat.completions.create({ messages: [user(PROMPT)], n: 3, temperature: 1.5, max_tokens: 16 });
  const told = { message, remembered: await engine.getMessage(), choices: several.choices.length, texts, stats: await engine.runtimeStatsText() };
  worker.terminate();
  return told;
}

let inServiceWorker: webllm.ServiceWorkerMLCEngine;

/** On the first visit, when no service worker controls the page yet. */
export async function serviceWorker() {
  void navigator.serviceWorker.register("/service.js", { type: "module" });
  const engine = (inServiceWorker = await webllm.CreateServiceWorkerMLCEngine(MODEL, {}, undefined, 100));
  const isControlled = navigator.serviceWorker.controller !== null;
  const message = await streamed(engine);
  const whole = await engine.chat.completions.create({ messages: [user(PROMPT)], ...GREEDY });
  const response_format = { type: "grammar" as const, grammar: 'root ::= "yes" | "no"' };
  const structured = await engine.chat.completions.create({ messages: [user("Is it so?")], response_format });
  engine.missedHeartbeat = 5;
  while (engine.missedHeartbeat >= 5) await new Promise((resolve) => setTimeout(resolve, 10)); // until a sign of life
  return { isControlled, message, whole: chatOf(whole.choices[0]!.message.content), structured: structured.choices[0]!.message.content };
}

/** Later, when the browser may have stopped it. */
export const serviceWorkerAgain = () => streamed(inServiceWorker);

async function severalModels(engine: webllm.MLCEngineInterface) {
  const oneByOne = [await streamed(engine, MODEL), await streamed(engine, OTHER)];
  const atOnce = await Promise.all([streamed(engine, MODEL), streamed(engine, OTHER)]);
  const unclear = await engine.getMessage().catch((error: Error) => error.name);
  const unknown = await streamed(engine, "third").catch((error: Error) => error.name);
  return { oneByOne, atOnce, unclear, unknown, remembered: [await engine.getMessage(MODEL), await engine.getMessage(OTHER)] };
}

export const severalModelsInThePage = async () => severalModels(await webllm.CreateMLCEngine([MODEL, OTHER], {}, [{ temperature: 0 }, { temperature: 0 }]));

export async function severalModelsInAWorker() {
  const worker = newWorker();
  const told = await severalModels(await webllm.CreateWebWorkerMLCEngine(worker, [MODEL, OTHER]));
  worker.terminate();
  return told;
}

async function forwarded(engine: webllm.MLCEngineInterface): Promise<number[]> {
  const tokens = [await engine.forwardTokensAndSample([42], true)];
  while (tokens.length < 8) tokens.push(await engine.forwardTokensAndSample([tokens.at(-1)!], false));
  return tokens;
}

export async function logitProcessor() {
  const processor = new AlwaysFirst();
  const engine = await webllm.CreateMLCEngine(MODEL, { logitProcessorRegistry: new Map<string, webllm.LogitProcessor>([[MODEL, processor]]) });
  const tokens = await forwarded(engine);
  const { drawn } = processor;
  await engine.resetChat();
  const again = await forwarded(engine);
  return { tokens, drawn, again, drawnAfterReset: processor.drawn, stats: await engine.runtimeStatsText() };
}

export async function logitProcessorInAWorker() {
  const worker = newWorker();
  const [record] = webllm.prebuiltAppConfig.model_list;
  const appConfig: webllm.AppConfig = { model_list: [{ ...record!, model_id: "with a processor" }] };
  const engine = await webllm.CreateWebWorkerMLCEngine(worker, "with a processor", { appConfig });
  const tokens = await forwarded(engine);
  worker.terminate();
  return tokens;
}

/** Without a processor the tokens are the model's own: those that a text completion has. */
export async function lowLevel() {
  const engine = await webllm.CreateMLCEngine(MODEL, {}, { temperature: 0 });
  const tokens = await forwarded(engine);
  const ids = await engine.completions.create({ prompt: [42], max_tokens: 8, ignore_eos: true, return_token_ids: true } as unknown as webllm.CompletionCreateParamsNonStreaming);
  return { tokens, expected: (ids.choices[0] as unknown as { token_ids: number[] }).token_ids };
}

/** Retrieval: the document nearest to a question goes into the prompt. */
export async function embeddings() {
  const engine = await webllm.CreateMLCEngine([OTHER, MODEL], { logLevel: "ERROR" });
  const embed = async (input: string[]) => {
    const { data, usage } = await engine.embeddings.create({ input, model: OTHER });
    return { vectors: data.map(({ embedding }) => embedding), usage };
  };
  const documents = ["The dog ran in the park.", "Tom ate a red apple."];
  const { vectors, usage } = await embed(documents);
  const { vectors: [question] } = await embed(["Tom ate a red apple!"]);
  const scores = vectors.map((vector) => vector.reduce((sum, value, i) => sum + value * question![i]!, 0));
  const context = documents[scores.indexOf(Math.max(...scores))]!;
  const reply = await engine.chat.completions.create({ messages: [user(context)], model: MODEL, ...GREEDY });
  return { scores, lengths: vectors.map((vector) => Math.hypot(...vector)), usage, context, reply: reply.choices[0]!.message.content };
}

/** Loading is ended; the program does not wait for it. */
export async function abortReload() {
  const engine = new webllm.MLCEngine();
  const reload = engine.reload(MODEL).then(() => "answered");
  await engine.unload();
  const ended = await reload;
  const after = await streamed(engine).catch((error: Error) => error.name);
  await engine.reload(MODEL);
  return { ended, after, then: await streamed(engine) };
}

export async function cacheUsage() {
  const appConfig = { ...webllm.prebuiltAppConfig, cacheBackend: "cache" as const };
  // What another model has use of, too, would stay.
  for (const { model_id: id } of appConfig.model_list) await webllm.deleteModelAllInfoInCache(id, appConfig);
  const texts: string[] = [];
  const engine: webllm.MLCEngineInterface = await webllm.CreateMLCEngine(MODEL, { initProgressCallback: ({ text }) => texts.push(text), appConfig });
  const cached = await webllm.hasModelInCache(MODEL, appConfig);
  const fetched = texts.splice(0);
  await engine.reload(MODEL);
  const loaded = texts.splice(0);
  await webllm.deleteModelInCache(MODEL, appConfig);
  const withoutWeights = await webllm.hasModelInCache(MODEL, appConfig);
  await webllm.deleteChatConfigInCache(MODEL, appConfig);
  await webllm.deleteModelWasmInCache(MODEL, appConfig);
  await webllm.deleteModelAllInfoInCache(MODEL, appConfig);
  await engine.reload(MODEL);
  const unknown = await webllm.hasModelInCache("nothing", appConfig).catch((error: Error) => error.name);
  return { cached, fetched, loaded, withoutWeights, again: texts, unknown, message: await streamed(engine) };
}

/** A page of a chat: the models to choose from, one after the other, a reset in the midst of an answer. */
export async function simpleChat() {
  const choices = webllm.prebuiltAppConfig.model_list.map(({ model_id: id, vram_required_MB: megabytes, low_resource_required: low }) => ({ id, megabytes, low }));
  const engine: webllm.MLCEngineInterface = new webllm.MLCEngine();
  const [size, vendor] = await Promise.all([engine.getMaxStorageBufferBindingSize(), engine.getGPUVendor()]);
  const reports: webllm.InitProgressReport[] = [];
  const history: webllm.ChatCompletionMessageParam[] = [];
  let chain = Promise.resolve();
  const pushTask = (task: () => Promise<void>): void => void (chain = chain.then(task));
  engine.setInitProgressCallback((report) => reports.push(report));
  const load = (id: string) => pushTask(() => engine.reload(id, { temperature: 0, top_p: 1 }));
  let label = "";
  const generate = (prompt: string, onChunk = (_: string): void => undefined) =>
    pushTask(async () => {
      history.push(user(prompt));
      let message = "";
      let usage: webllm.CompletionUsage | undefined;
      const completion = await engine.chat.completions.create({ stream: true, messages: history, stream_options: { include_usage: true }, max_tokens: 48 });
      for await (const chunk of completion) {
        message += chunk.choices[0]?.delta.content ?? "";
        onChunk(message);
        if (chunk.usage) usage = chunk.usage;
      }
      label = `prefill: ${usage!.extra.prefill_tokens_per_s.toFixed(4)} tokens/sec, decoding: ${usage!.extra.decode_tokens_per_s.toFixed(4)} tokens/sec`;
      history.push({ role: "assistant", content: await engine.getMessage() });
    });
  load(choices[0]!.id);
  generate(PROMPT);
  await chain;
  const first = chatOf(history.at(-1)!.content as string);
  generate(" Then", () => engine.interruptGenerate());
  pushTask(() => engine.resetChat());
  await chain;
  const afterReset = await engine.getMessage();
  history.length = 0;
  pushTask(() => engine.unload());
  load(choices[1]!.id);
  generate(PROMPT);
  await chain;
  return { choices, size, vendor, first, afterReset, second: chatOf(history.at(-1)!.content as string), label, last: reports.at(-1) };
}

export async function integrity() {
  const data = await (await fetch("/stories/model.json")).arrayBuffer();
  const hash = `sha256-${btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-256", data))))}`;
  await webllm.verifyIntegrity(data, hash, "model.json");
  const failed = await webllm.verifyIntegrity(data, hash.replace(/-./, (first) => (first === "-A" ? "-B" : "-A")), "model.json").catch((error: unknown) => error instanceof webllm.IntegrityError && error.url);
  return { valid: webllm.isValidSRI(hash), failed };
}

/** What of a record does nothing is said. */
export async function unusedFields() {
  const said: string[] = [];
  const { info } = console;
  console.info = (text: string) => said.push(text);
  try {
    const [record] = webllm.prebuiltAppConfig.model_list;
    const model_lib = `${webllm.modelLibURLPrefix}${webllm.modelVersion}/model.wasm`;
    const appConfig = { model_list: [{ ...record!, model_id: "mine", model_lib, required_features: ["shader-f16"], overrides: { sliding_window_size: 64 } }] };
    await webllm.CreateMLCEngine("mine", { appConfig });
    await webllm.CreateMLCEngine("mine", { appConfig, logLevel: "WARN" });
  } finally {
    console.info = info;
  }
  return said;
}

/** By their names, which programs look at. */
export async function refusals() {
  const engine = new webllm.MLCEngine();
  const nameOf = (action: () => Promise<unknown>) => action().then(() => "", (error: Error) => error.name);
  const ask = (request: Partial<webllm.ChatCompletionRequest>) => nameOf(() => engine.chatCompletion({ messages: [user("x")], ...request } as webllm.ChatCompletionRequest));
  return {
    notLoaded: await ask({}),
    notKnown: await nameOf(() => engine.reload("nothing")),
    twice: await nameOf(() => engine.reload([MODEL, MODEL])),
    options: await nameOf(() => engine.reload([MODEL, OTHER], [{}])),
    loaded: await nameOf(() => engine.reload(MODEL)),
    tooLong: await ask({ messages: [user("word ".repeat(3000))] }),
    seed: await ask({ seed: 0.5 }),
    count: await ask({ stream: true, n: 2 }),
    streamOptions: await ask({ stream_options: { include_usage: true } }),
    schema: await ask({ response_format: { schema: "{}" } }),
    grammar: await ask({ response_format: { type: "grammar" } }),
    tag: await ask({ response_format: { type: "structural_tag" } }),
    tool: await ask({ tool_choice: { type: "function", function: { name: "f" } } }),
  };
}
