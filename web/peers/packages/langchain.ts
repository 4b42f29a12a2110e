// LangChain's ChatWebLLM, as it comes from npm.

import { ChatWebLLM } from "@langchain/community/chat_models/webllm";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";

const MODEL = "stories.gguf";
const PROMPT = "Once upon a time, there was a little";

async function opened() {
  const progress: string[] = [];
  const model = new ChatWebLLM({ model: MODEL, chatOptions: { temperature: 0, context_window_size: 64 } });
  await model.initialize(({ text }) => progress.push(text));
  return { model, progress };
}

export async function invoke() {
  const { model, progress } = await opened();
  const answer = await model.invoke([new HumanMessage({ content: PROMPT })], { stop: [" toys"] });
  const withSystem = await model.invoke([new SystemMessage("Once upon a time, "), new HumanMessage("there was a little")], { stop: [" toys"] });
  return { answer: answer.content, withSystem: withSystem.content, progress };
}

export async function stream() {
  const { model } = await opened();
  const chunks: { text: unknown; scored: number; reason: unknown }[] = [];
  for await (const { content, additional_kwargs: more } of await model.stream([new HumanMessage(PROMPT)], { stop: [" toys"] })) {
    const { logprobs, finish_reason: reason } = more as { logprobs?: { content: unknown[] } | null; finish_reason?: unknown };
    chunks.push({ text: content, scored: logprobs?.content.length ?? 0, reason });
  }
  return chunks;
}

export async function chain() {
  const { model } = await opened();
  const prompt = ChatPromptTemplate.fromMessages([["human", "Once upon a time, there was a {size}"]]);
  return prompt.pipe(model.withConfig({ stop: [" toys"] })).pipe(new StringOutputParser()).invoke({ size: "little" });
}
