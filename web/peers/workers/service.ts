// A service worker as web-llm's programs have it: the handler comes with the activation, and after a restart with the first message.

import { ServiceWorkerMLCEngineHandler } from "@mlc-ai/web-llm";

let handler: ServiceWorkerMLCEngineHandler | undefined;
const begin = () => void (handler ??= new ServiceWorkerMLCEngineHandler());

self.addEventListener("activate", begin);
self.addEventListener("message", begin);
