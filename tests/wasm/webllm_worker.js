// A worker as web-llm's programs have it.
import { WebWorkerMLCEngineHandler } from "/dist/webllm.js";

const handler = new WebWorkerMLCEngineHandler();
self.onmessage = (event) => handler.onmessage(event);
