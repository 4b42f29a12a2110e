// Pipelines of shaders, compiled by the driver while other things go on; each once, however often it is asked for.

import type { Gpu } from "./gpu.ts";
import type { Shader } from "./shaders.ts";

export class Pipelines {
  readonly #gpu: Gpu;
  readonly #made = new Map<Shader, Promise<GPUComputePipeline>>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** A pipeline for each shader, in their order. Fails where the driver refuses one. */
  make(shaders: readonly Shader[]): Promise<GPUComputePipeline[]> {
    return Promise.all(
      shaders.map((shader) => {
        let made = this.#made.get(shader);
        if (made === undefined) this.#made.set(shader, (made = this.#compile(shader)));
        return made;
      }),
    );
  }

  async #compile({ name, features, text }: Shader): Promise<GPUComputePipeline> {
    const what = `The GPU ${this.#gpu.name} refuses the kernel ${name}.`;
    const module = await this.#gpu.make(what, () => this.#gpu.device.createShaderModule({ label: name, code: enabled(features, text) }));
    try {
      const compute = { module, entryPoint: name };
      return await this.#gpu.device.createComputePipelineAsync({ label: name, layout: "auto", compute });
    } catch (error) {
      throw this.#gpu.explain(error, what);
    }
  }
}

/** Browsers want what a shader uses of the language's extensions to be named in it, native drivers of shaders do not. */
function enabled(features: string, text: string): string {
  const lacking = ["f16", "subgroups"].filter((name) => features.split("+").includes(name) && !text.includes(`enable ${name};`));
  return lacking.map((name) => `enable ${name};\n`).join("") + text;
}
