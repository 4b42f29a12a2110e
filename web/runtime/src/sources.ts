// What a program names as a model: files that it has, a bundle's folder on a server, or the model.json of a packaged site.

import { type BundleFiles, fetchedFiles } from "./files.ts";
import { PACKAGE_FILE } from "./store/facts.ts";
import { Package, type PackageOptions } from "./store/package.ts";

export type Source = string | URL | BundleFiles;

export async function filesAt(source: Source, options: PackageOptions): Promise<BundleFiles> {
  if (typeof source !== "string" && !(source instanceof URL)) return source;
  return new URL(source, globalThis.location?.href).pathname.endsWith(`/${PACKAGE_FILE}`) ? Package.open(source, options) : fetchedFiles(source);
}
