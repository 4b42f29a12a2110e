// Modules of Node, where that is what runs: asked for without an import, since bundlers for pages find none of their names.

export const nodeModule: typeof process.getBuiltinModule = ((name: string) =>
  globalThis.process?.getBuiltinModule?.(name)) as typeof process.getBuiltinModule;
