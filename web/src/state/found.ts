// What a search has led to: a message and the words in it. Gone as soon as something else is looked at.

import { effect, signal } from "@preact/signals";
import { openId } from "./route";

export interface FoundMessage {
  conversation: string;
  message: string;
  words: string;
}

export const found = signal<FoundMessage | null>(null);

effect(() => {
  const open = openId.value;
  if (found.peek() && open !== found.peek()!.conversation) found.value = null;
});
