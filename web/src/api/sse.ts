// Server-sent events out of a fetch body. EventSource cannot POST, so the page reads the format itself.

/** The `data` of each event, in order; comments (keep-alives) and other fields are passed over. */
export async function* eventData(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      let line: string | null;
      while (([line, rest] = takeLine(rest, done))[0] !== null && line !== null) {
        if (line === "") {
          if (data.length > 0) yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        }
      }
      // An event without its closing blank line was cut off in the middle: the format says to drop it.
      if (done) return;
    }
  } finally {
    // Leaving the loop early (the reader lost interest) closes the connection, so that the server stops working.
    await reader.cancel().catch(() => undefined);
  }
}

/** The first whole line of `text` and what follows it. A line ends with LF, CRLF or CR. */
function takeLine(text: string, ended: boolean): [string | null, string] {
  const end = text.search(/[\r\n]/);
  if (end < 0) return [null, text];
  if (text[end] === "\r") {
    if (end + 1 === text.length && !ended) return [null, text]; // its LF may still come
    if (text[end + 1] === "\n") return [text.slice(0, end), text.slice(end + 2)];
  }
  return [text.slice(0, end), text.slice(end + 1)];
}
