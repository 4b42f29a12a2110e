// gpu_kernels.wgsl: the shaders of a plan's kernels, each behind a line `//@ NAME THREADS FEATURES`.

import { HearthError } from "../errors.ts";

/** One shader. A kernel may have several, which need different features and compute the same. */
export interface Shader {
  /** Of the kernel, and of the entry point. */
  readonly name: string;
  /** Invocations of a workgroup. */
  readonly threads: number;
  /** What the adapter needs beyond the core: of `f16`, `subgroups`, `dot4`. */
  readonly features: readonly string[];
  readonly text: string;
}

const HEAD = /^\/\/@ .*$/gm;
const WORDS = /^\/\/@ ([A-Za-z_]\w*) (\d{1,3}) ([a-z0-9+]+)$/;
const hint = "Compile the model again: hearth compile MODEL --target wasm32";

export function readShaders(content: string): Shader[] {
  const heads = [...content.matchAll(HEAD)];
  return heads.map((head, i) => {
    const words = WORDS.exec(head[0]);
    if (words === null) throw new HearthError("corrupt", `The bundle's shaders have a line that says nothing: ${head[0]}`, { hint });
    return {
      name: words[1]!,
      threads: Number(words[2]),
      features: words[3] === "core" ? [] : words[3]!.split("+"),
      text: content.slice(head.index + head[0].length + 1, heads[i + 1]?.index),
    };
  });
}

/** The shader of each kernel that every adapter runs. */
export function coreShaders(shaders: readonly Shader[], kernels: readonly { readonly name: string }[]): Shader[] {
  const core = new Map(shaders.filter(({ features }) => features.length === 0).map((shader) => [shader.name, shader]));
  return kernels.map(({ name }) => {
    const shader = core.get(name);
    if (shader !== undefined) return shader;
    throw new HearthError("mismatch", `The bundle has no shader for the kernel ${name}, which its plan asks for.`, { hint });
  });
}
