// Programs in the manner of web-llm's examples json-mode, json-schema, function-calling, structural-tag-tool-use.

import * as webllm from "@mlc-ai/web-llm";
import { user } from "./chats";
import { Says } from "./processors";

const MODEL = "stories.gguf";
const WEATHER: webllm.ChatCompletionTool = {
  type: "function",
  function: {
    name: "get_current_weather",
    description: "Get the current weather in a given location",
    parameters: {
      type: "object",
      properties: { location: { type: "string", maxLength: 12 }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } },
      required: ["location", "unit"],
    },
  },
};

export async function jsonMode() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const request: webllm.ChatCompletionRequest = {
    stream: false,
    messages: [user("Write a short JSON file introducing yourself.")],
    n: 2,
    max_tokens: 400,
    frequency_penalty: 1,
    response_format: { type: "json_object" } as webllm.ResponseFormat,
  };
  const { choices } = await engine.chatCompletion(request);
  return { choices, last: await engine.getMessage() };
}

export async function jsonSchema() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const schema = {
    type: "object",
    properties: {
      house: { enum: ["Gryffindor", "Hufflepuff", "Ravenclaw", "Slytherin"] },
      wand: { type: "object", properties: { wood: { type: "string", maxLength: 8 }, length: { type: "integer", minimum: 1, maximum: 40 } }, required: ["wood", "length"], additionalProperties: false },
      alive: { type: "boolean" },
    },
    required: ["house", "wand", "alive"],
    additionalProperties: false,
  };
  await engine.chatCompletion({
    messages: [user("Hermione Granger is a character. Fill in what follows about her.")],
    max_tokens: 400,
    frequency_penalty: 1,
    response_format: { type: "json_object", schema: JSON.stringify(schema) },
  });
  const filled = JSON.parse(await engine.getMessage()) as unknown;
  const grammar = 'root ::= "yes" | "no"';
  const chosen = await engine.chatCompletion({ messages: [user("Is it so?")], max_tokens: 16, response_format: { type: "grammar", grammar } });
  return { filled, chosen: chosen.choices[0]!.message.content };
}

/** The last chunk before the usage has the calls. */
export async function functionCalling() {
  const said = 'Sure. <tool_call>{"name": "get_current_weather", "arguments": {"location": "Oslo", "unit": "celsius"}}</tool_call>';
  const logitProcessorRegistry = new Map([[MODEL, new Says(said)]]);
  const engine = await webllm.CreateMLCEngine(MODEL, { logitProcessorRegistry });
  const messages = [user("What is the current weather in celsius in Oslo?")];
  let text = "";
  let last: webllm.ChatCompletionChunk | undefined;
  let usage: webllm.CompletionUsage | undefined;
  for await (const chunk of await engine.chat.completions.create({ stream: true, stream_options: { include_usage: true }, messages, tool_choice: "auto", tools: [WEATHER] })) {
    text += chunk.choices[0]?.delta?.content || "";
    if (!chunk.usage) last = chunk;
    usage = chunk.usage;
  }
  return { text, last: last!.choices[0], usage };
}

export async function functionForced() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const messages = [user("What is the current weather in celsius in Oslo?")];
  const reply = await engine.chat.completions.create({ messages, tools: [WEATHER], tool_choice: { type: "function", function: { name: "get_current_weather" } }, max_tokens: 400, frequency_penalty: 1 });
  const call = reply.choices[0]!.message.tool_calls![0]!;
  messages.push({ role: "assistant", content: null, tool_calls: [call] }, { role: "tool", tool_call_id: call.id, content: '{"rain": true}' });
  const after = await engine.chat.completions.create({ messages, tools: [WEATHER], max_tokens: 8 });
  return { choice: reply.choices[0], after: after.choices[0]!.message.content };
}

/** Tools by a tag of the program's own, without `tools`. */
export async function structuralTag() {
  const engine = await webllm.CreateMLCEngine(MODEL);
  const { name, parameters } = WEATHER.function;
  const tag = {
    type: "structural_tag",
    format: {
      type: "triggered_tags",
      triggers: ["<tool_call>"],
      tags: [{ begin: `<tool_call>\n{"name": "${name}", "arguments": `, content: { type: "json_schema", json_schema: parameters }, end: "}\n</tool_call>" }],
      at_least_one: true,
      stop_after_first: true,
    },
  };
  const reply = await engine.chat.completions.create({ messages: [user("The weather in Paris?")], max_tokens: 400, frequency_penalty: 1, response_format: { type: "structural_tag", structural_tag: tag } });
  const [, body] = /<tool_call>\s*({[\s\S]*?})\s*<\/tool_call>/.exec(reply.choices[0]!.message.content ?? "") ?? [];
  return JSON.parse(body ?? "null") as unknown;
}
