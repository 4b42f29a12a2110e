// The origin's private file system, as far as the package uses it, in memory, and with an end.

export class FakeOpfs {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  quotaBytes = Infinity;

  get usedBytes(): number {
    return [...this.files.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** What `navigator.storage` is then. */
  get storage(): unknown {
    return { getDirectory: async () => ({ getDirectoryHandle: async () => this.#folder() }) };
  }

  #folder(): unknown {
    const { files } = this;
    const handle = (name: string): unknown => ({
      getFile: async () => new File([files.get(name)!], name),
      createWritable: async () => ({
        write: async (content: Uint8Array<ArrayBuffer>) => {
          if (this.usedBytes - (files.get(name)?.length ?? 0) + content.length > this.quotaBytes) throw new DOMException("full", "QuotaExceededError");
          files.set(name, content.slice());
        },
        close: async () => undefined,
      }),
    });
    return {
      async *[Symbol.asyncIterator]() {
        for (const name of [...files.keys()]) yield [name, handle(name)];
      },
      async getFileHandle(name: string, { create = false } = {}) {
        if (!files.has(name)) {
          if (!create) throw new DOMException("not there", "NotFoundError");
          files.set(name, new Uint8Array());
        }
        return handle(name);
      },
      async removeEntry(name: string) {
        if (!files.delete(name)) throw new DOMException("not there", "NotFoundError");
      },
    };
  }
}
