import { expect, test, vi } from "vitest";
import { blocksOf, renderBlock } from "./blocks";
import { fillMath, katexVersion } from "./katex";
import { openFormula } from "./math";
import { morph } from "./morph";

const labels = { copyCode: "Copy code", imageLink: (alt: string): string => `Image: ${alt}` };

/** What is to be read, without the signs that mean something in Markdown. */
function letters(text: string): string {
  return text.replace(/[^a-z]/g, "");
}

function html(markdown: string, live = false): string {
  const place = document.createElement("div");
  for (const block of blocksOf(markdown, live)) place.append(renderBlock(block, labels));
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

test.each([
  ["quotes in quotes", `${">".repeat(2_000)} x`, "x"],
  ["lists in lists", `${"- ".repeat(2_000)}x`, "x"],
  ["numbered lists in lists", `${"1. ".repeat(2_000)}x`, "x"],
  ["a stair of lists", Array.from({ length: 400 }, (_, level) => `${"  ".repeat(level)}- a`).join("\n"), "a".repeat(400)],
  ["emphasis in emphasis", "*a _b ".repeat(2_000) + "_ *".repeat(2_000), "ab".repeat(2_000)],
  ["links in links", "[a".repeat(2_000) + "](b)".repeat(2_000), "a".repeat(2_000) + "b".repeat(2_000)],
  ["dollars", "$a".repeat(40_000), "a".repeat(40_000)],
  ["stars", "*a_".repeat(20_000), "a".repeat(20_000)],
  ["rules and a word", `${"---\n".repeat(20_000)}word`, "word"],
  ["paragraphs", "word\n\n".repeat(10_000), "word".repeat(10_000)],
  ["one long word", "a".repeat(400_000), "a".repeat(400_000)],
])("Markdown that goes too far is shown as text, and nothing of it is lost: %s", (_, markdown, words) => {
  const place = document.createElement("div");
  for (const block of blocksOf(markdown)) place.append(renderBlock(block, labels));
  expect(letters(place.textContent!)).toBe(words);
}, 60_000);

test("a table that asks for a million cells is shown as text", () => {
  const table = `${"|a".repeat(3_000)}|\n${"|-".repeat(3_000)}|\n${"|\n".repeat(9_000)}`;
  expect(html(table)).not.toContain("<table");
  expect(html("|a|b|\n|-|-|\n|c|d|\n")).toContain("<table");
});

test("what follows Markdown that went too far is Markdown again", () => {
  expect(html(`${">".repeat(500)} x\n\n**bold**`)).toContain("<strong>bold</strong>");
});

test("a formula is drawn where a browser can lay it out, else its source is shown", async () => {
  const drawn = async (tex: string): Promise<boolean> => {
    const fragment = document.createDocumentFragment();
    const place = document.createElement("span");
    place.className = "md-math";
    place.dataset["tex"] = tex;
    fragment.append(place);
    fillMath(fragment);
    await vi.waitFor(() => expect(katexVersion.value).toBeGreaterThan(0));
    fillMath(fragment);
    if (place.dataset["drawn"] !== "true") expect(place.textContent).toBe(tex);
    return place.dataset["drawn"] === "true";
  };
  const nested = (opening: string, levels: number): string => `${opening.repeat(levels)}x${"}".repeat(levels)}`;
  for (const opening of ["\\frac{1}{", "\\sqrt{", "x^{", "\\overline{", "\\boxed{"]) {
    expect(await drawn(nested(opening, 20)), opening).toBe(true);
    expect(await drawn(nested(opening, 150)), opening).toBe(false);
  }
  expect(await drawn(`\\begin{matrix}${"a&".repeat(1_900)}\\end{matrix}`)).toBe(false);
  expect(await drawn(`\\def\\a{${"x".repeat(3_000)}}${"\\a".repeat(200)}`)).toBe(false);
  expect(await drawn("\\def\\a{x}\\a")).toBe(false);
  expect(await drawn("\\left( x \\right)")).toBe(true);
}, 60_000);
