// Brings the children of an element to those of a fragment and leaves alone what is the same already, so that text that
// is being selected, a focused button or a scrolled table survive the next word of an answer.

export function morph(target: Node, source: Node): void {
  let at = target.firstChild;
  for (let wanted = source.firstChild; wanted; ) {
    const next: ChildNode | null = wanted.nextSibling;
    if (!at) target.appendChild(wanted);
    else {
      const after: ChildNode | null = at.nextSibling;
      if (!same(at, wanted)) at.replaceWith(wanted);
      at = after;
    }
    wanted = next;
  }
  while (at) {
    const after: ChildNode | null = at.nextSibling;
    at.remove();
    at = after;
  }
}

/** Whether `old` is, or has been made, equal to `wanted`. */
function same(old: ChildNode, wanted: ChildNode): boolean {
  if (old.nodeType !== wanted.nodeType || old.nodeName !== wanted.nodeName) return false;
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
    return true;
  }
  const [from, to] = [old as HTMLElement, wanted as HTMLElement];
  // KaTeX sets styles on elements: a formula is kept whole or replaced whole.
  if (to.dataset?.["tex"] !== undefined || from.dataset?.["tex"] !== undefined) {
    return from.dataset["tex"] === to.dataset["tex"] && from.dataset["drawn"] === to.dataset["drawn"];
  }
  // What the reader has unfolded stays so.
  for (const { name } of [...from.attributes]) if (name !== "open" && !to.hasAttribute(name)) from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  morph(from, to);
  return true;
}
