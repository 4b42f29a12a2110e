// Small things that are kept for the origin between visits, by their name, in pages and workers. Where nothing can be kept, or
// what was kept is damaged, it is as if there were nothing.

const PLACE = "hearth-memos";
const address = (name: string): string => `/${PLACE}/${name}`;

export async function readMemo(name: string): Promise<unknown> {
  try {
    return (await (await (await caches.open(PLACE)).match(address(name)))?.json()) as unknown;
  } catch {
    return undefined;
  }
}

export async function writeMemo(name: string, content: unknown): Promise<void> {
  try {
    await (await caches.open(PLACE)).put(address(name), new Response(JSON.stringify(content)));
  } catch {
    // A private window, or no room: then it is found out again the next time.
  }
}
