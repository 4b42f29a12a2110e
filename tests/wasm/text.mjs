// Texts and tokens by the built package: node text.mjs FOLDER, with a bundle's two tokenizer files. Takes a question a line from
// standard input, as JSON: {"encode": text, "special": bool}, {"decode": ids}, {"render": messages, "variables": {}}; answers a line.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { ChatTemplate, META_FILE, Tokenizer, TOKENIZER_FILE, tokenizerSpec } from "../../web/runtime/dist/index.js";

const read = (name) => readFileSync(`${process.argv[2]}/${name}`, "utf8");
const tokenizer = new Tokenizer(tokenizerSpec(read(TOKENIZER_FILE), read(META_FILE)));

function answer(question) {
  if ("encode" in question) return tokenizer.encode(question.encode, question.special);
  if ("decode" in question) {
    const stream = tokenizer.stream();
    const pieces = question.decode.map((id) => stream.push(id));
    return [...pieces, stream.finish()];
  }
  const template = new ChatTemplate(question.template, tokenizer);
  const prompt = template.render(question.render, question.variables);
  return { text: prompt.text, ids: tokenizer.encode(prompt, false) };
}

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = { answer: answer(JSON.parse(line)) };
  } catch (error) {
    said = { error: { kind: error.kind ?? "bug", message: String(error.message), stack: String(error.stack) } };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
