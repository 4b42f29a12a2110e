// A conversation is a tree of messages: an edited question and an answer given again are siblings. Pure functions.

import type { Message } from "../api/types";

/** The messages from the first one down to `leaf`: what is on the screen. */
export function pathTo(messages: readonly Message[], leaf: string | null): Message[] {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path: Message[] = [];
  const seen = new Set<string>(); // a damaged import could hold a circle
  for (let at = leaf ? byId.get(leaf) : undefined; at && !seen.has(at.id); at = at.parent ? byId.get(at.parent) : undefined) {
    seen.add(at.id);
    path.push(at);
  }
  return path.reverse();
}

/** The versions of a message, itself included, in the order they were made. */
export function siblings(messages: readonly Message[], message: Message): Message[] {
  return messages.filter((other) => other.parent === message.parent && other.role === message.role);
}

/** The newest message below `id`, following the newest child each time; `id` itself where nothing is below. */
export function newestLeaf(messages: readonly Message[], id: string): string {
  const newestChild = new Map<string, string>();
  for (const message of messages) if (message.parent) newestChild.set(message.parent, message.id);
  let at = id;
  for (let steps = 0; steps <= messages.length; steps++) {
    const child = newestChild.get(at);
    if (child === undefined) return at;
    at = child;
  }
  return at;
}

/** The messages with `message` in them: in place of the one with its id, or at the end. */
export function withMessage(messages: readonly Message[], message: Message): Message[] {
  const index = messages.findIndex((other) => other.id === message.id);
  return index < 0 ? [...messages, message] : messages.with(index, message);
}

/** The last message of the user on the screen. */
export function lastQuestion(path: readonly Message[]): Message | undefined {
  return path.findLast((message) => message.role === "user");
}
