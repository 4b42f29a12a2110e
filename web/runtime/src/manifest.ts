// manifest.json of a bundle, as far as a page needs it.

import { HearthError } from "./errors.ts";

/** Of the bundle's folder and of hearth.h: `hearth.bundle.manifest` has the same. */
export const FORMAT_VERSION = 7;
export const ABI_VERSION = 5;

export const PLAN = "plan.bin";
export const GPU_PLAN = "gpu_plan.bin";
export const GPU_KERNELS = "gpu_kernels.wgsl";
/** What the model computes on a processor, as hearth.bundle.manifest has it; older bundles have none. */
export const KNOWN_ANSWERS = "known_answers.json";
export const WEIGHTS = "weights.bin";
export const TOKENIZER_META = "tokenizer_meta.json";
export const MANIFEST = "manifest.json";

export interface InstructionSet {
  readonly name: string;
  /** What the engine must know to run its module. */
  readonly features: readonly string[];
}

export interface TextFacts {
  readonly layers: number;
  readonly vocab_size: number;
  readonly context_max: number;
  readonly kv_bytes_per_token: number;
  /** Of the recurrent state of one sequence behind one of its tokens; 0: it has none. */
  readonly state_bytes: number;
}

export interface Manifest {
  readonly format_version: number;
  readonly abi_version: number;
  readonly target: string;
  readonly instruction_sets: readonly InstructionSet[];
  readonly source_name: string;
  readonly kind: string;
  readonly family: string;
  readonly quant: string;
  readonly text: TextFacts | null;
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly size_bytes: number }>>;
}

/** Reads a manifest and refuses what this runtime cannot run. */
export function readManifest(text: string): Manifest {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(text) as Manifest;
  } catch (error) {
    throw new HearthError("corrupt", `${MANIFEST} is no JSON.`, { why: String(error) });
  }
  if (typeof manifest !== "object" || manifest === null || !("format_version" in manifest)) {
    throw new HearthError("corrupt", `${MANIFEST} is no manifest of a bundle: it names no format.`);
  }
  const versions = [manifest.format_version, manifest.abi_version];
  if (versions[0] !== FORMAT_VERSION || versions[1] !== ABI_VERSION) {
    throw new HearthError("mismatch", `This bundle has format ${versions.join(", runtime ")}.`, {
      why: `This package reads format ${FORMAT_VERSION}, runtime ${ABI_VERSION}.`,
      hint: "Compile the model with the Hearth that this package came with.",
    });
  }
  if (manifest.target !== "wasm32") {
    throw new HearthError("mismatch", `The bundle of ${manifest.source_name} is for ${manifest.target}.`, {
      why: "A page runs WebAssembly.",
      hint: `Compile it for that: hearth compile ${manifest.source_name} --target wasm32`,
    });
  }
  return manifest;
}

/** The name of the module with an instruction set's kernels. */
export const moduleName = (isa: InstructionSet): string => `libhearth-${isa.name}.wasm`;
