// The page without a network. Its own files come from the server where that answers, so that they are never old, and else as
// they came last; the model's chunks are the page's own to keep.

export {};

declare const __SHELL__: readonly string[];

interface ExtendableEvent extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface WorkerScope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
}

const scope = self as unknown as WorkerScope;
const CACHE = `hearth-page ${scope.registration.scope}`;

scope.addEventListener("install", (event) => {
  const fetched = async (): Promise<void> => {
    const cache = await caches.open(CACHE);
    await cache.addAll(__SHELL__.map((name) => new Request(name, { cache: "no-cache" })));
    await scope.skipWaiting();
  };
  event.waitUntil(fetched());
});

scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const isShell = request.url.startsWith(scope.registration.scope) && !request.url.includes("/blobs/");
  if (request.method === "GET" && isShell) event.respondWith(fresh(event));
});

async function fresh(event: FetchEvent): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(event.request, { cache: "no-cache" });
    if (response.ok) event.waitUntil(cache.put(event.request, response.clone()));
    return response;
  } catch (error) {
    const kept = await cache.match(event.request, { ignoreSearch: true });
    if (kept === undefined) throw error;
    return kept;
  }
}
