// A bundle's folder on the disk of a machine with Node.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type BundleFiles, missing } from "./files.ts";

const PIECE_BYTES = 1 << 20;

export function filesIn(folder: string): BundleFiles {
  return {
    async open(name) {
      const path = join(folder, name);
      try {
        if (!(await stat(path)).isFile()) throw new Error("it is no file");
      } catch (error) {
        throw missing(name, `${path}: ${error instanceof Error ? error.message : String(error)}`);
      }
      return createReadStream(path, { highWaterMark: PIECE_BYTES });
    },
  };
}
