// A worker as web-llm's programs have it, with a logit processor of its own.

import { type LogitProcessor, WebWorkerMLCEngineHandler } from "@mlc-ai/web-llm";
import { AlwaysFirst } from "../programs/processors";

const handler = new WebWorkerMLCEngineHandler();
const processor: LogitProcessor = new AlwaysFirst();
handler.setLogitProcessorRegistry(new Map([["with a processor", processor]]));
self.onmessage = (message: MessageEvent) => handler.onmessage(message);
