// A worker or a service worker with a model, as docs/browser.md has them.
import { serveModel } from "/dist/index.js";

serveModel(self);

if ("clients" in self) {
  self.addEventListener("install", () => self.skipWaiting());
  self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
}
