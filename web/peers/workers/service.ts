// A service worker as web-llm's example has it: the handler comes with the activation.

import { ServiceWorkerMLCEngineHandler } from "@mlc-ai/web-llm";

let handler: ServiceWorkerMLCEngineHandler | undefined;

self.addEventListener("activate", () => {
  handler = new ServiceWorkerMLCEngineHandler();
});
