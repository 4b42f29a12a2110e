// Calls from one thread to another, the same to a worker, a port and a service worker: each call brings a port of its own, over which
// items, the answer or an error come back, and over which it is ended. So nothing has to be kept between calls, and a service worker
// that was stopped meanwhile starts again by the call itself.

import { Inbox } from "../engine/inbox.ts";
import { type ErrorKind, HearthError } from "../errors.ts";

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
  readonly name: string;
  readonly argument: unknown;
}

type Answer =
  | { readonly item: unknown }
  | { readonly value: unknown }
  | { readonly error: { readonly kind: ErrorKind; readonly what: string; readonly why: string; readonly hint: string } };

/** What a call does: `emit` sends an item, the signal says that nobody waits any more. */
export type CallHandler = (argument: unknown, emit: (item: unknown) => void, signal: AbortSignal) => Promise<unknown>;

/** Answers calls that come to `scope`. Answers what ends that. */
export function answerCalls(scope: CallScope, handlers: Readonly<Record<string, CallHandler>>): () => void {
  const listener = (event: MessageEvent): void => {
    const call = event.data as Partial<Call> | null;
    const port = event.ports[0];
    if (call?.hearth !== "call" || port === undefined) return;
    const answering = answer(port, call as Call, handlers);
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
  const value = new Promise<unknown>((resolve, reject) => {
    port.onmessage = ({ data }: MessageEvent<Answer>) => {
      if ("item" in data) return items.push(data.item);
      port.close();
      signal?.removeEventListener("abort", end);
      if ("value" in data) {
        items.end();
        return resolve(data.value);
      }
      const { kind, what, why, hint } = data.error;
      const error = new HearthError(kind, what, { why, hint });
      items.fail(error);
      reject(error);
    };
  });
  value.catch(() => undefined); // who reads the items is told by them
  signal?.addEventListener("abort", end, { once: true });
  target.postMessage({ hearth: "call", name, argument } satisfies Call, [port2]);
  if (signal?.aborted === true) end();
  return { items, value };
}
