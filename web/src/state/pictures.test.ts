import { expect, test } from "vitest";
import { formatOf } from "./pictures";

const head = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

test("a picture is told by its first bytes", () => {
  expect(formatOf(head("\xff\xd8\xff\xe0\0\x10JFIF"))?.shown).toBe(true);
  expect(formatOf(head("\x89PNG\r\n\x1a\n"))?.shown).toBe(true);
  expect(formatOf(head("RIFF\x24\0\0\0WEBPVP8 "))?.shown).toBe(true);
  expect(formatOf(head("\0\0\0\x20ftypavif"))?.shown).toBe(true);
  expect(formatOf(head("BM\x36\x10\0\0"))?.shown).toBe(true);
  expect(formatOf(head("\0\0\0\x18ftypheic"))?.shown).toBe(false);
  expect(formatOf(head("II*\0\x08\0"))?.shown).toBe(false);
});

test("texts and other files are no pictures", () => {
  for (const text of ["", "B", "BMI is a number", "%PDF-1.7", "RIFF\x24\0\0\0WAVEfmt ", "<svg xmlns=", "GIF", "plain text about \xff\xd8\xff"]) {
    expect(formatOf(head(text))).toBeNull();
  }
});
