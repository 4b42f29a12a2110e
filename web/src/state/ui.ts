// What is open on the page besides the conversation.

import { signal } from "@preact/signals";
import type { Attachment, ConversationCard } from "../api/types";
import { prefs, setPrefs } from "./prefs";

const narrow = matchMedia("(max-width: 820px)");

export const isNarrow = signal(narrow.matches);
/** On a phone the list of conversations lies over the page, and is closed at first. */
export const drawerOpen = signal(false);
export const settingsOpen = signal(false);
export const helpOpen = signal(false);
export const deleting = signal<Pick<ConversationCard, "id" | "title"> | null>(null);
/** Pictures of a message, and which of them is shown large. */
export const viewing = signal<{ pictures: Attachment[]; at: number } | null>(null);
/** The message of the user that is being edited. */
export const editing = signal<string | null>(null);

narrow.addEventListener("change", () => {
  isNarrow.value = narrow.matches;
  drawerOpen.value = false;
});

export function toggleSidebar(): void {
  if (isNarrow.peek()) drawerOpen.value = !drawerOpen.peek();
  else setPrefs({ sidebar: !prefs.peek().sidebar });
}

export function showSidebar(): void {
  if (isNarrow.peek()) drawerOpen.value = true;
  else setPrefs({ sidebar: true });
}

export function closeDrawer(): void {
  drawerOpen.value = false;
}

/** Elements that shortcuts go to; set by the views that own them. */
export const targets: { input: HTMLTextAreaElement | null; search: HTMLInputElement | null } = { input: null, search: null };

export function focusInput(): void {
  // After what has been changed is on the page.
  requestAnimationFrame(() => targets.input?.focus());
}
