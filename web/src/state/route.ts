// Which conversation is open stands in the address (#/c/<id>), so that reloading and going back work.

import { signal } from "@preact/signals";

export function parseRoute(hash: string): string | null {
  const match = /^#\/c\/([\w-]+)$/.exec(hash);
  return match ? match[1]! : null;
}

export const openId = signal<string | null>(parseRoute(location.hash));

addEventListener("hashchange", () => {
  openId.value = parseRoute(location.hash);
});

export function go(id: string | null, { replace = false } = {}): void {
  const hash = id ? `#/c/${id}` : "#/";
  if (replace) history.replaceState(null, "", hash);
  else if (location.hash !== hash) history.pushState(null, "", hash);
  openId.value = id;
}
