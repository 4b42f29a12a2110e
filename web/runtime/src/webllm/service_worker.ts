// web-llm's engine in a service worker: as that in a worker, with signs of life. Browsers stop a service worker that nobody calls, and
// programs may make their handler on an event that does not come again; so it is called as long as the page is open.

import type { ChatOptions, MLCEngineConfig } from "./config.ts";
import { namedError } from "./errors.ts";
import { WebWorkerMLCEngine, WebWorkerMLCEngineHandler } from "./workers.ts";

const KEEP_ALIVE_MS = 10_000;
const KEEP_ALIVE = { kind: "keepAlive" };
const HEARTBEAT = { kind: "heartbeat" };

const isOfKind = (data: unknown, { kind }: { kind: string }): boolean => (data as { kind?: unknown } | null)?.kind === kind;

/** In a service worker; it listens by itself. */
export class ServiceWorkerMLCEngineHandler extends WebWorkerMLCEngineHandler {
  constructor() {
    super();
    globalThis.addEventListener("message", (event) => this.onmessage(event));
  }

  override onmessage(event: unknown): void {
    const { data, source } = event as MessageEvent;
    if (isOfKind(data, KEEP_ALIVE)) (source as { postMessage(message: unknown): void } | null)?.postMessage(HEARTBEAT);
    else super.onmessage(event);
  }
}

const noServiceWorkers = (): Error => namedError("NoServiceWorkerAPIError", "This browser has no service workers, or not for this page.");

/** Over the service worker that controls the page. */
export class ServiceWorkerMLCEngine extends WebWorkerMLCEngine {
  /** How many signs of life were asked for since the last one came. */
  missedHeartbeat = 0;

  /** @param active the one to call as long as none controls the page: before it was loaded a second time. */
  constructor(engineConfig?: MLCEngineConfig, keepAliveMs = KEEP_ALIVE_MS, active: ServiceWorker | null = null) {
    if (!("serviceWorker" in navigator)) throw noServiceWorkers();
    const { serviceWorker } = navigator;
    const called = (): ServiceWorker | null => serviceWorker.controller ?? active;
    super(
      {
        onmessage: null,
        postMessage(message, transfer) {
          const to = called();
          if (to === null) throw namedError("ServiceWorkerInitializationError", "No service worker controls this page yet: load it again.");
          to.postMessage(KEEP_ALIVE); // a handler that is made on the first message hears the second
          to.postMessage(message, transfer);
        },
      },
      engineConfig,
    );
    serviceWorker.addEventListener("message", ({ data }) => {
      if (isOfKind(data, HEARTBEAT)) this.missedHeartbeat = 0;
    });
    serviceWorker.startMessages();
    setInterval(() => {
      called()?.postMessage(KEEP_ALIVE);
      this.missedHeartbeat++;
    }, keepAliveMs);
  }
}

export async function CreateServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ServiceWorkerMLCEngine> {
  if (!("serviceWorker" in navigator)) throw noServiceWorkers();
  const { active } = await navigator.serviceWorker.ready;
  const engine = new ServiceWorkerMLCEngine(engineConfig, keepAliveMs, active);
  await engine.reload(modelId, chatOpts);
  return engine;
}
