import { expect, test, vi } from "vitest";
import { openInWorker, serveModel } from "../../src/api/index.ts";
import { toyModel } from "../toy_model.ts";

const messages = [{ role: "user", content: "Say: from afar" }];

/** A worker's scope and what reaches it, as a pair of ports. */
function pair(): { scope: MessagePort; target: MessagePort } {
  const { port1: scope, port2: target } = new MessageChannel();
  return { scope, target };
}

test("a model in a worker answers as one in the page", async () => {
  const { scope, target } = pair();
  const stop = serveModel(scope, {}, async (url, { onProgress }) => {
    onProgress?.(5, 10);
    expect(url).toBe("https://example.org/models/toy");
    return toyModel().model;
  });
  const progress: number[][] = [];
  const remote = await openInWorker(target, "https://example.org/models/toy", { onProgress: (...told) => progress.push(told) });
  expect(progress).toEqual([[5, 10]]);
  expect(remote.name).toBe("toy");
  expect(remote.device.kind).toBe("wasm");
  expect((await remote.chat.completions.create({ messages, temperature: 0 })).choices[0]!.message.content).toBe("from afar");
  let text = "";
  for await (const { choices } of await remote.chat.completions.create({ messages, temperature: 0, stream: true })) text += choices[0]?.delta.content ?? "";
  expect(text).toBe("from afar");
  expect((await remote.embeddings.create({ input: "a" })).data).toHaveLength(1);
  await expect(remote.chat.completions.create({ messages, temperature: -1 })).rejects.toMatchObject({ name: "HearthError", kind: "usage" });
  stop();
  scope.close();
});

test("a stream that is left, or whose signal says so, ends in the worker", async () => {
  const { scope, target } = pair();
  const { model } = toyModel();
  const stop = serveModel(scope, {}, async () => model);
  const remote = await openInWorker(target, "https://example.org/toy");
  const long = { messages: [{ role: "user", content: `Say: ${"x".repeat(300)}` }], temperature: 0, stream: true as const };
  for await (const _ of await remote.chat.completions.create(long)) break;
  const controller = new AbortController();
  let reason: string | null = null;
  for await (const { choices } of await remote.chat.completions.create(long, { signal: controller.signal })) {
    controller.abort();
    reason = choices[0]?.finish_reason ?? reason;
  }
  expect(reason).toBe("abort");
  await remote.close();
  stop();
  scope.close();
});

test("a worker that was stopped meanwhile opens the model again when it is asked", async () => {
  const { scope, target } = pair();
  let opened = 0;
  const open = async () => {
    opened++;
    return toyModel().model;
  };
  let stop = serveModel(scope, {}, open);
  const remote = await openInWorker(target, "https://example.org/toy");
  stop(); // as a browser stops a service worker: all that it knew is gone
  stop = serveModel(scope, {}, open);
  expect((await remote.chat.completions.create({ messages, temperature: 0 })).choices[0]!.message.content).toBe("from afar");
  expect(opened).toBe(2);
  stop();
  scope.close();
});

/** A worker whose models answer by their names; what is open there. */
function named() {
  const open = new Set<string>();
  const opener = async (url: string) => {
    const name = new URL(url).pathname.slice(1);
    open.add(name);
    return toyModel({ name, close: () => open.delete(name) }).model;
  };
  const { scope, target } = pair();
  const stop = serveModel(scope, {}, opener);
  const ask = async ({ chat }: Awaited<ReturnType<typeof openInWorker>>) => (await chat.completions.create({ messages, temperature: 0 })).model;
  return { open, opener, scope, target, ask, stop };
}

test("models beside each other answer each for itself, and are closed each by itself", async () => {
  const { open, target, scope, ask, stop } = named();
  const first = await openInWorker(target, "https://example.org/first");
  const second = await openInWorker(target, "https://example.org/second", { beside: true });
  expect(await Promise.all([ask(first), ask(second), ask(first)])).toEqual(["first", "second", "first"]);
  await first.close();
  expect([...open]).toEqual(["second"]);
  expect(await ask(second)).toBe("second");
  stop();
  scope.close();
});

test("a model takes the place of those that are open; who asks one of them has it opened again", async () => {
  const { open, target, scope, ask, stop } = named();
  const first = await openInWorker(target, "https://example.org/first");
  const second = await openInWorker(target, "https://example.org/second");
  expect([...open]).toEqual(["second"]);
  expect(await Promise.all([ask(first), ask(second)])).toEqual(["first", "second"]);
  stop();
  scope.close();
});

test("a worker that was stopped in the middle of a call is asked once more", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const { scope, target } = pair();
  const never = () => new Promise<never>(() => undefined);
  let stop = serveModel(scope, {}, never);
  const opening = openInWorker(target, "https://example.org/toy");
  await new Promise((resolve) => setTimeout(resolve)); // it has begun
  vi.advanceTimersByTime(60_000);
  await new Promise((resolve) => setTimeout(resolve)); // and is known to go on
  stop();
  let opened = 0;
  stop = serveModel(scope, {}, async () => {
    opened++;
    return toyModel().model;
  });
  vi.advanceTimersByTime(20_000);
  const remote = await opening;
  expect([remote.name, opened]).toEqual(["toy", 1]);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  stop();
  scope.close();
});
