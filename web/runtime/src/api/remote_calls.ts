// Calls from one thread to another, the same to a worker, a port and a service worker: each call brings a port of its own, over which
// items, the answer or an error come back, and over which it is ended. So nothing has to be kept between calls, and a service worker
// that was stopped meanwhile starts again by the call itself.
//
// Browsers also stop service workers in the middle of what takes them minutes, and tell nobody. So whoever waits asks now and then
// whether the call is still known: being asked keeps a worker alive, and one that was started anew does not know it.

import { Inbox } from "../engine/inbox.ts";
import { type ErrorKind, HearthError } from "../errors.ts";
import { uniqueText } from "../unique.ts";

/** Browsers give a worker half a minute without any events, and five with one that does not end. */
const ASK_MS = 10_000;

/** A worker, a port, a service worker: what takes messages. */
export interface CallTarget {
  postMessage(message: unknown, transfer: Transferable[]): void;
}

/** The scope of a worker, or a port: what messages come to. */
export interface CallScope {
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  removeEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  /** Of a port: messages come from then on. */
  start?(): void;
}

interface Call {
  readonly hearth: "call";
  readonly id: string;
  readonly name: string;
  readonly argument: unknown;
}

/** Is answered by whether the call is known. */
interface Question {
  readonly hearth: "known";
  readonly id: string;
}

type Answer =
  | { readonly item: unknown }
  | { readonly value: unknown }
  | { readonly error: { readonly kind: ErrorKind; readonly what: string; readonly why: string; readonly hint: string } };

/** What a call does: `emit` sends an item, the signal says that nobody waits any more. */
export type CallHandler = (argument: unknown, emit: (item: unknown) => void, signal: AbortSignal) => Promise<unknown>;

/** Answers calls that come to `scope`. Answers what ends that. */
export function answerCalls(scope: CallScope, handlers: Readonly<Record<string, CallHandler>>): () => void {
  const known = new Set<string>();
  const listener = (event: MessageEvent): void => {
    const said = event.data as Call | Question | null;
    const port = event.ports[0];
    if (port === undefined) return;
    if (said?.hearth === "known") port.postMessage(known.has(said.id));
    if (said?.hearth !== "call") return;
    known.add(said.id);
    const answering = answer(port, said, handlers).finally(() => known.delete(said.id));
    // A service worker lives on until the promise is settled.
    (event as MessageEvent & { waitUntil?(promise: Promise<unknown>): void }).waitUntil?.(answering);
  };
  scope.addEventListener("message", listener);
  scope.start?.();
  return () => scope.removeEventListener("message", listener);
}

async function answer(port: MessagePort, { name, argument }: Call, handlers: Readonly<Record<string, CallHandler>>): Promise<void> {
  const controller = new AbortController();
  const say = (said: Answer): void => port.postMessage(said);
  port.onmessage = () => controller.abort();
  try {
    const handler = handlers[name];
    if (handler === undefined) throw new HearthError("usage", `The worker knows no call ${name}.`);
    say({ value: (await handler(argument, (item) => say({ item }), controller.signal)) ?? null }); // where JSON carries it nothing else stays
  } catch (error) {
    const known = error instanceof HearthError ? error : new HearthError("internal", error instanceof Error ? error.message : String(error));
    say({ error: { kind: known.kind, what: known.what, why: known.why, hint: known.hint } });
  } finally {
    port.onmessage = null;
  }
}

/** Calls a function of another thread: its items as they come, and its answer when they have ended. */
export function callOver(target: CallTarget, name: string, argument: unknown, signal?: AbortSignal): { items: Inbox<unknown>; value: Promise<unknown> } {
  const { port1: port, port2 } = new MessageChannel();
  const end = (): void => port.postMessage("end");
  const items = new Inbox<unknown>(end);
  const id = uniqueText();
  const value = new Promise<unknown>((resolve, reject) => {
    const close = (): void => {
      port.close();
      clearInterval(asking);
      signal?.removeEventListener("abort", end);
    };
    const fail = (error: HearthError): void => {
      close();
      items.fail(error);
      reject(error);
    };
    port.onmessage = ({ data }: MessageEvent<Answer>) => {
      if ("item" in data) return items.push(data.item);
      if ("error" in data) return fail(new HearthError(data.error.kind, data.error.what, data.error));
      close();
      items.end();
      resolve(data.value);
    };
    let unknown = 0;
    const asking = setInterval(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }: MessageEvent<boolean>) => {
        port1.close();
        // Once it may be that the call has just ended, and its last word is under way.
        if (!data && ++unknown > 1) fail(new HearthError("unloaded", "The worker was stopped in the middle of it.", { why: "Browsers do that to service workers.", hint: "Ask again." }));
      };
      target.postMessage({ hearth: "known", id } satisfies Question, [port2]);
    }, ASK_MS);
  });
  value.catch(() => undefined); // who reads the items is told by them
  signal?.addEventListener("abort", end, { once: true });
  target.postMessage({ hearth: "call", id, name, argument } satisfies Call, [port2]);
  if (signal?.aborted === true) end();
  return { items, value };
}
