import { expect, test } from "vitest";
import { StopStrings } from "../src/text/stop.ts";

/** What is shown of a text that comes in pieces, and what ended it. */
function shown(stops: string[], pieces: string[]): [string, string | undefined] {
  const watch = new StopStrings(stops);
  const text = pieces.map((piece) => watch.push(piece)).join("") + watch.finish();
  return [text, watch.found];
}

test("a stop string ends an answer at the same place however it is cut", () => {
  const text = "Hello\n\nUser: no";
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
      expect(shown(["\nUser:", "User: n"], pieces)).toEqual(["Hello\n", "\nUser:"]);
      expect(shown(["lo\n\nUs", "\n"], pieces)).toEqual(["Hel", "lo\n\nUs"]);
      expect(shown(["nothing"], pieces)).toEqual([text, undefined]);
      expect(shown([], pieces)).toEqual([text, undefined]);
    }
  }
});

test("what may begin a stop string is held back, and shown once it is none", () => {
  const watch = new StopStrings(["###"]);
  expect(["a#", "#", "b", "##"].map((piece) => watch.push(piece))).toEqual(["a", "", "##b", ""]);
  expect(watch.finish()).toBe("##");
});

test("stop strings that are none are refused", () => {
  expect(() => new StopStrings([""])).toThrow("Up to 64 stop strings");
});
