import { expect, test } from "vitest";
import { blocksOf, renderBlock } from "./blocks";
import { openFormula } from "./math";
import { morph } from "./morph";

const words = { copyCode: "Copy code", imageLink: (alt: string): string => `Image: ${alt}` };

function html(markdown: string, live = false): string {
  const place = document.createElement("div");
  for (const block of blocksOf(markdown, live)) place.append(renderBlock(block, words));
  return place.innerHTML;
}

test("a growing answer changes only its last block", () => {
  const before = blocksOf("One.\n\nTwo.\n\n```py\nprint(");
  const after = blocksOf("One.\n\nTwo.\n\n```py\nprint(1)\n```\n\nThree");
  expect(after.slice(0, 2).map(({ raw }) => raw)).toEqual(before.slice(0, 2).map(({ raw }) => raw));
  expect(before).toHaveLength(3);
  expect(after).toHaveLength(4);
});

test("scripts, handlers and foreign pictures do not get through", () => {
  const result = html('<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> ![p](https://example.com/p.png) [x](javascript:alert(1))');
  expect(result).not.toMatch(/<script|<img|href="javascript/i);
  expect(result).toContain(">Image: p</a>");
});

test("a model's HTML cannot look like a part of the page", () => {
  expect(html('<div class="notice error" style="position:fixed">x</div>')).not.toMatch(/<div[^>]*class="notice/);
  expect(html("a<br>b H<sub>2</sub>O")).toContain("<br>b H<sub>2</sub>O");
});

test("links leave the page without telling where they come from", () => {
  expect(html("[a](https://example.com)")).toContain('rel="noopener noreferrer"');
});

test("code has its language and a button to copy it", () => {
  const result = html("```python title=x\nx < 1\n```");
  expect(result).toContain("python</span>");
  expect(result).toContain("data-copy");
  expect(result).toContain("x &lt; 1");
});

test("maths is found, money is not", () => {
  const formulas = (markdown: string): (string | null)[] => {
    const place = document.createElement("div");
    place.innerHTML = html(markdown);
    return [...place.querySelectorAll("[data-tex]")].map((element) => element.getAttribute("data-tex"));
  };
  expect(formulas("$a_1 + b_2$ and \\(c < d\\)")).toEqual(["a_1 + b_2", "c < d"]);
  expect(formulas("It costs $5 or $10.")).toEqual([]);
  expect(formulas("Text\n$$\nx^2\n$$\nmore \\[ y \\] end")).toEqual(["x^2", "y"]);
  expect(formulas("`$x$` and\n\n```\n$$y$$\n```")).toEqual([]);
});

test("a formula that has not ended yet is not shown half", () => {
  expect(html("Now $$ \\frac{a_1", true)).toBe("<p>Now</p>\n");
  expect(html("Now $$ \\frac{a_1", false)).toContain("frac");
  expect(openFormula("\\(a\\) and \\[b")).toBe(10);
  expect(openFormula("$$a$$ done")).toBe(-1);
});

test("what is already there stays the same element", () => {
  const target = document.createElement("div");
  target.innerHTML = "<p>One</p><ul><li>a</li></ul>";
  const [paragraph, item] = [target.querySelector("p"), target.querySelector("li")];
  const source = document.createElement("div");
  source.innerHTML = '<p>One <b>two</b></p><ul class="md-x"><li>a</li><li>b</li></ul>';
  const wanted = source.innerHTML;
  morph(target, source);
  expect(target.innerHTML).toBe(wanted);
  expect(target.querySelector("p")).toBe(paragraph);
  expect(target.querySelector("li")).toBe(item);
});
