// The page of an extension, as web-llm's example has it: the model at the address behind "?" goes on with a story.

import { CreateExtensionServiceWorkerMLCEngine, type InitProgressReport, type MLCEngineInterface } from "@mlc-ai/web-llm";

const reports: InitProgressReport[] = [];
const initProgressCallback = (report: InitProgressReport): void => void reports.push(report);
const model = decodeURIComponent(location.search.slice(1));
const engine: MLCEngineInterface = await CreateExtensionServiceWorkerMLCEngine(model, { initProgressCallback });
let message = "";
for await (const { choices } of await engine.chat.completions.create({
  stream: true,
  messages: [{ role: "user", content: "Once upon a time, there was a little" }],
  temperature: 0,
  max_tokens: 48,
})) {
  message += choices[0]?.delta.content ?? "";
}
const failure = await engine.chat.completions.create({ messages: [], max_tokens: -1 }).catch((error: Error) => error.name);
const told = document.createElement("pre");
told.textContent = JSON.stringify({ message, remembered: await engine.getMessage(), progress: reports.at(-1)!.progress, failure });
document.body.append(told);
