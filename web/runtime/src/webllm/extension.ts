// web-llm's engine in the service worker of a browser's extension. An extension's ports carry JSON alone: of each call what would go over
// a port of its own goes over that of the page, with the call's name.

import { uniqueText } from "../unique.ts";
import type { ChatOptions, MLCEngineConfig } from "./config.ts";
import { type ChatWorker, WebWorkerMLCEngine, WebWorkerMLCEngineHandler } from "./workers.ts";

const PORT_NAME = "web_llm_service_worker";
const KEEP_ALIVE_MS = 10_000;

/** What is used of a chrome.runtime.Port. */
export interface ExtensionPort {
  postMessage(message: unknown): void;
  readonly onMessage: { addListener(listener: (message: unknown) => void): void };
  readonly onDisconnect: { addListener(listener: () => void): void };
}

interface Runtime {
  connect(...to: readonly unknown[]): ExtensionPort;
}

export interface ExtensionMLCEngineConfig extends MLCEngineConfig {
  extensionId?: string;
  onDisconnect?: () => void;
}

interface Carried {
  readonly call: string;
  readonly message: unknown;
}

const isCarried = (message: unknown): message is Carried => typeof (message as Partial<Carried> | null)?.call === "string";
const isLast = (message: unknown): boolean => typeof message === "object" && message !== null && !("item" in message);

/** Calls' own ports, whose messages go over one that they share. */
class Calls {
  readonly #ports = new Map<string, MessagePort>();
  readonly #send: (carried: Carried) => void;

  constructor(send: (carried: Carried) => void) {
    this.#send = send;
  }

  add(call: string, port: MessagePort): void {
    this.#ports.set(call, port);
    port.onmessage = ({ data }) => {
      this.#send({ call, message: data });
      if (isLast(data)) this.#drop(call);
    };
  }

  /** Whether the call is known: then it has the message. */
  pass({ call, message }: Carried): boolean {
    const port = this.#ports.get(call);
    port?.postMessage(message);
    if (isLast(message)) this.#drop(call);
    return port !== undefined;
  }

  /** Nobody waits for them any more. */
  end(): void {
    for (const port of this.#ports.values()) port.postMessage("end");
    this.#ports.clear();
  }

  #drop(call: string): void {
    this.#ports.delete(call);
  }
}

/** In the extension's service worker: `port.onMessage.addListener(handler.onmessage.bind(handler))`. */
export class ExtensionServiceWorkerMLCEngineHandler extends WebWorkerMLCEngineHandler {
  #port!: ExtensionPort;
  #calls!: Calls;

  constructor(port: ExtensionPort) {
    super();
    this.setPort(port);
  }

  /** The page was opened anew. */
  setPort(port: ExtensionPort): void {
    const calls = new Calls((carried) => port === this.#port && port.postMessage(carried));
    [this.#port, this.#calls] = [port, calls];
    port.onDisconnect.addListener(() => calls.end());
  }

  /** @param message what the port brings, which is no event. */
  override onmessage(message: unknown): void {
    if (!isCarried(message) || this.#calls.pass(message) || !isLast(message.message)) return;
    const { port1, port2 } = new MessageChannel();
    this.#calls.add(message.call, port1);
    super.onmessage({ data: message.message, ports: [port2] } as unknown as MessageEvent);
  }
}

function chatWorkerOver(port: ExtensionPort): ChatWorker {
  const calls = new Calls((carried) => port.postMessage(carried));
  port.onMessage.addListener((message) => void (isCarried(message) && calls.pass(message)));
  return {
    onmessage: null,
    postMessage(message, [own]) {
      const call = uniqueText();
      calls.add(call, own as MessagePort);
      port.postMessage({ call, message } satisfies Carried);
    },
  };
}

/** Over the service worker of this extension, or of another one. */
export class ExtensionServiceWorkerMLCEngine extends WebWorkerMLCEngine {
  readonly port: ExtensionPort;

  constructor({ extensionId, onDisconnect, ...engineConfig }: ExtensionMLCEngineConfig = {}, keepAliveMs = KEEP_ALIVE_MS) {
    const { runtime } = (globalThis as unknown as { chrome: { runtime: Runtime } }).chrome;
    const port = runtime.connect(...(extensionId === undefined ? [] : [extensionId]), { name: PORT_NAME });
    super(chatWorkerOver(port), engineConfig);
    this.port = port;
    const timer = setInterval(() => port.postMessage({ kind: "keepAlive" }), keepAliveMs);
    port.onDisconnect.addListener(() => {
      clearInterval(timer);
      onDisconnect?.();
    });
  }
}

export async function CreateExtensionServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: ExtensionMLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ExtensionServiceWorkerMLCEngine> {
  const engine = new ExtensionServiceWorkerMLCEngine(engineConfig, keepAliveMs);
  await engine.reload(modelId, chatOpts);
  return engine;
}
