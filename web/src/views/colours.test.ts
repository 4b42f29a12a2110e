import { expect, test } from "vitest";
import { colourOf, css, inkOn } from "./colours";

// As hearth.vision.draw has them.
test("labels have the colours that Hearth draws", () => {
  expect(css(colourOf(0))).toBe("rgb(242 61 61)");
  expect(css(colourOf(1))).toBe("rgb(61 114 242)");
  expect(css(colourOf(7))).toBe("rgb(68 242 61)");
});

test("what stands on them can be read", () => {
  expect(inkOn([1, 1, 1])).toBe("#000");
  expect(inkOn([0, 0, 0])).toBe("#fff");
  expect(inkOn([0, 0, 0.8])).toBe("#fff");
});
