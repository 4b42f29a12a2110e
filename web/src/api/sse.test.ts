import { expect, test } from "vitest";
import { eventData } from "./sse";

async function read(chunks: (string | Uint8Array)[]): Promise<string[]> {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
      controller.close();
    },
  });
  const found: string[] = [];
  for await (const data of eventData(body)) found.push(data);
  return found;
}

test("events come out one by one, comments do not", async () => {
  expect(await read(["data: one\n\n: keep-alive\n\ndata:two\n\n"])).toEqual(["one", "two"]);
});

test("the cuts of the network are not those of the events", async () => {
  const bytes = new TextEncoder().encode('data: {"text":"火炉 🔥"}\r\n\r\ndata: b\r\n\r\n');
  for (let size = 1; size < 8; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
    expect(await read(chunks)).toEqual(['{"text":"火炉 🔥"}', "b"]);
  }
});

test("an event of several lines is joined, other fields are passed over", async () => {
  expect(await read(["event: x\nid: 3\ndata: a\ndata:  b\n\n"])).toEqual(["a\n b"]);
});

test("an event that was cut off is dropped", async () => {
  expect(await read(["data: whole\n\ndata: ha"])).toEqual(["whole"]);
});

test("whoever stops reading closes the connection", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    cancel: () => void (cancelled = true),
  });
  for await (const _ of eventData(body)) break;
  expect(cancelled).toBe(true);
});
