// Shortcuts of the whole page: hears the keys and does what they mean.

import { answering, newChat, path, regenerate, stop } from "./state/chat";
import { actionOf, isMac, type Action } from "./keys";
import { writing } from "./state/composer";
import { seeing } from "./state/sight";
import { lastQuestion } from "./state/tree";
import { deleting, drawerOpen, editing, focusInput, helpOpen, isNarrow, settingsOpen, showSidebar, targets, toggleSidebar, viewing } from "./state/ui";

export function listenForShortcuts(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return; // an input method is choosing characters
    const target = event.target as HTMLElement;
    const typing = target.matches("textarea, select, input:not([type=range]):not([type=checkbox]), [contenteditable]");
    const action = actionOf({
      key: event.key,
      mod: isMac ? event.metaKey : event.ctrlKey,
      shift: event.shiftKey,
      alt: event.altKey,
      typing,
      emptyInput: target === targets.input && writing.peek().content === "",
    });
    if (!action || helpOpen.peek() || deleting.peek() || viewing.peek()) return;
    if (perform(action)) event.preventDefault();
  });
}

/** Does it; false where there was nothing to do. */
function perform(action: Action): boolean {
  switch (action) {
    case "newChat":
      newChat();
      drawerOpen.value = false;
      focusInput();
      return true;
    case "search":
      showSidebar();
      requestAnimationFrame(() => targets.search?.select());
      return true;
    case "focus":
      drawerOpen.value = false;
      focusInput();
      return true;
    case "stop":
      return closeOrStop();
    case "editLast": {
      const question = lastQuestion(path.peek());
      if (!question || answering.peek()) return false;
      editing.value = question.id;
      return true;
    }
    case "regenerate": {
      const last = path.peek().at(-1);
      if (last) regenerate(last);
      return last !== undefined;
    }
    case "settings":
      if (seeing.peek()) return false;
      settingsOpen.value = !settingsOpen.peek();
      return true;
    case "sidebar":
      toggleSidebar();
      return true;
    case "help":
      helpOpen.value = true;
      return true;
  }
}

function closeOrStop(): boolean {
  if (isNarrow.peek() && drawerOpen.peek()) drawerOpen.value = false;
  else if (isNarrow.peek() && settingsOpen.peek()) settingsOpen.value = false;
  else if (answering.peek()) void stop();
  else if (settingsOpen.peek()) settingsOpen.value = false;
  else return false;
  return true;
}
