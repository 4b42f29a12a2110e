// The clipboard.

import { spoken } from "./chat.ts";
import { notice } from "./model.ts";

/** Puts text on the clipboard and says so. */
export async function copy(content: string): Promise<boolean> {
  const isCopied = await navigator.clipboard?.writeText(content).then(() => true, () => false);
  if (isCopied === true || copiedFromPage(content)) {
    spoken.value = "Copied";
    return true;
  }
  notice.value = "The browser does not allow copying here.";
  return false;
}

/** The older way, and the only one of pages that came over plain http. */
function copiedFromPage(content: string): boolean {
  const focused = document.activeElement;
  const place = document.createElement("textarea");
  place.value = content;
  place.className = "visually-hidden";
  document.body.append(place);
  place.select();
  const isCopied = document.execCommand("copy");
  place.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  return isCopied;
}
