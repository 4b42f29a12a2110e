// Which keys mean what, and how they are written. `mod` is Command on a Mac, Control elsewhere.

export const isMac = /Mac|iP(hone|ad|od)/.test(navigator.platform);

export type Action = "newChat" | "search" | "focus" | "stop" | "editLast" | "regenerate" | "settings" | "sidebar" | "help";

/** How each shortcut is written in the help, key by key. */
export const KEYS: Record<Action | "send" | "newline", string[]> = {
  newChat: ["mod", "Shift", "O"],
  search: ["mod", "K"],
  focus: ["Shift", "Esc"],
  send: ["Enter"],
  newline: ["Shift", "Enter"],
  stop: ["Esc"],
  editLast: ["↑"],
  regenerate: ["mod", "Shift", "Enter"],
  settings: ["mod", ","],
  sidebar: ["mod", "B"],
  help: ["?"],
};

export function keyName(key: string): string {
  if (key === "mod") return isMac ? "⌘" : "Ctrl";
  if (key === "Shift" && isMac) return "⇧";
  return key;
}

export function shortcut(action: keyof typeof KEYS): string {
  return KEYS[action].map(keyName).join(isMac ? "" : "+");
}

interface Press {
  key: string;
  mod: boolean;
  shift: boolean;
  alt: boolean;
  /** Whether the key goes into a text field. */
  typing: boolean;
  /** Whether that field is the message box, and it is empty. */
  emptyInput: boolean;
}

/** What a key press means, if anything. */
export function actionOf({ key, mod, shift, alt, typing, emptyInput }: Press): Action | null {
  if (alt) return null;
  const lower = key.toLowerCase();
  if (mod && shift) return lower === "o" ? "newChat" : key === "Enter" ? "regenerate" : null;
  if (mod) return lower === "k" ? "search" : lower === "b" ? "sidebar" : key === "," ? "settings" : null;
  if (key === "Escape") return shift ? "focus" : "stop";
  if (key === "ArrowUp" && emptyInput && !shift) return "editLast";
  if (key === "?" && !typing) return "help";
  if (key === "/" && !typing) return "focus";
  return null;
}
