// Finding any of many fixed strings in a text, in time that does not depend on how many there are.

interface Node {
  readonly next: Map<string, Node>;
  isEnd: boolean;
}

export interface Match {
  readonly begin: number;
  readonly end: number;
  readonly word: string;
}

export class Dictionary {
  readonly #root: Node = { next: new Map(), isEnd: false };

  constructor(words: Iterable<string>) {
    for (const word of words) {
      if (word === "") continue;
      let node = this.#root;
      for (const unit of word.split("")) {
        let child = node.next.get(unit);
        if (child === undefined) node.next.set(unit, (child = { next: new Map(), isEnd: false }));
        node = child;
      }
      node.isEnd = true;
    }
  }

  /** The first word in the text from `from` on; of several at one place the longest. */
  search(text: string, from = 0): Match | undefined {
    for (let begin = from; begin < text.length; begin++) {
      let end = -1;
      let node: Node | undefined = this.#root;
      for (let at = begin; node !== undefined; at++) {
        if (node.isEnd) end = at;
        node = node.next.get(text[at] ?? "");
      }
      if (end >= 0) return { begin, end, word: text.slice(begin, end) };
    }
    return undefined;
  }

  /** All words, none within another. */
  *matches(text: string): Generator<Match> {
    for (let found = this.search(text); found !== undefined; found = this.search(text, found.end)) yield found;
  }

  /** Whether some word begins with `piece` and goes on after it. */
  continues(piece: string): boolean {
    let node: Node | undefined = this.#root;
    for (const unit of piece.split("")) node = node?.next.get(unit);
    return (node?.next.size ?? 0) > 0;
  }
}
