// A language model over a bundle in Node, by the built package: node model.mjs BUNDLE_DIR. Takes one JSON object from standard input,
// {"chat": [requests], "text": [requests]}, all of which run at the same time. Answers {"chat": [...], "text": [...]}: OpenAI's objects.
import { readFileSync } from "node:fs";
import { LanguageModel, localBackend, openAi } from "../../web/runtime/dist/index.js";
import { filesIn } from "../../web/runtime/dist/node.js";

const { chat, text } = JSON.parse(readFileSync(0, "utf8"));
const model = await LanguageModel.open(filesIn(process.argv[2]), { context: 256, cacheTokens: 1024 });
const api = openAi(localBackend(model));

async function answered(create, request) {
  try {
    const answer = await create(request);
    if (request.stream !== true) return answer;
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    return chunks;
  } catch (error) {
    return { error: { kind: error.kind ?? "bug", message: String(error.stack) } };
  }
}

const [chats, texts] = await Promise.all([
  Promise.all(chat.map((request) => answered(api.chat.completions.create, request))),
  Promise.all(text.map((request) => answered(api.completions.create, request))),
]);
await model.close();
process.stdout.write(JSON.stringify({ chat: chats, text: texts }));
