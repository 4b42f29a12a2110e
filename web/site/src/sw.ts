// The page without a network. Its own files come from the server where that answers, so that they are never old, and else as
// they came last; the model is the page's own to keep. What only some answers need (colours of code, formulas) is kept when the
// model is there: who does not load that is not made to load them. Whatever headers the server sends, the page it gives is
// cross-origin isolated, so that the model may compute on several threads: from the second visit on, when it gives the first.

export {};

declare const __SHELL__: readonly string[];
declare const __LATER__: readonly string[];

interface ExtendableEvent extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface MessageEvent extends ExtendableEvent {
  readonly data: unknown;
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
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
}

const scope = self as unknown as WorkerScope;
/** All that the page loads is of its own origin. */
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const CACHE = `hearth-page ${scope.registration.scope}`;

scope.addEventListener("install", (event) => {
  event.waitUntil(keep(__SHELL__).then(() => scope.skipWaiting()));
});

scope.addEventListener("message", (event) => {
  if (event.data === "keep all") event.waitUntil(keep(__LATER__).catch(() => undefined));
});

async function keep(names: readonly string[]): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll(names.map((name) => new Request(name, { cache: "no-cache" })));
}

scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const isOurs = request.url.startsWith(scope.registration.scope);
  const name = request.url.slice(scope.registration.scope.length); // the site may itself lie in a folder of any name
  const isPage = isOurs && !/^(?:blobs\/|model\.json)/.test(name);
  if (request.method === "GET" && isPage) event.respondWith(fresh(event).then(isolated));
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

/** The same, with the headers; a redirection as it is, which cannot be read and leads to a request of its own. */
function isolated(response: Response): Response {
  if (response.type !== "basic" && response.type !== "default") return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
