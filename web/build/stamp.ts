// What the build adds to Vite's: a stamp that names the sources it was made of, the licences of what is in it, where threads
// are started from, and KaTeX's fonts in the one format that every browser of today reads.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Everything the built page depends on, relative to web/. tests/web/test_build.py hashes the same. */
export const PAGE_SOURCES = ["build", "index.html", "package-lock.json", "package.json", "public", "src", "tsconfig.json", "vite.config.ts"];

/** The same of the page of packaged models. tests/package/test_page.py hashes the same. */
export const SITE_SOURCES = ["build", "package-lock.json", "package.json", "public", "runtime/src", "site", "src/markdown", "src/styles", "src/views/Button.tsx", "src/views/Dialog.tsx", "src/views/Hearth.tsx", "src/views/Icon.tsx", "tsconfig.json"];

function filesUnder(root: string, path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path)).flatMap((name) => filesUnder(root, `${path}/${name}`));
}

/** SHA-256 over each file's path and content, in the order of their paths. */
export function sourceHash(root: string, sources: readonly string[]): string {
  const hash = createHash("sha256");
  const paths = sources.flatMap((path) => filesUnder(root, path)).filter((path) => !path.includes(".test."));
  for (const path of paths.sort()) {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\n${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

/** What a package.json names as needed at run time. */
export function dependenciesOf(root: string): readonly string[] {
  return Object.keys((JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies: Record<string, string> }).dependencies);
}

function licenceTexts(modules: string, packages: readonly string[]): string {
  const names = [...packages].sort();
  const parts = names.map((name) => {
    const folder = join(modules, name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string; license: string };
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry) && !/apache/i.test(entry));
    if (!file) throw new Error(`${name} has no licence file.`);
    const text = readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  return ["What is built here contains the following works.\n", ...parts].join(`\n${"-".repeat(72)}\n\n`);
}

/** Writes build.json beside what is built: the hash of the sources it was made of. */
export function stamp(root: string, sources: readonly string[]): Plugin {
  return {
    name: "hearth-stamp",
    apply: "build",
    generateBundle() {
      const built = { sources_sha256: sourceHash(root, sources) };
      this.emitFile({ type: "asset", fileName: "build.json", source: `${JSON.stringify(built)}\n` });
    },
  };
}

/**
 * Writes licenses.txt beside what is built: the licences of the packages that are bundled.
 *
 * @param modules the folder where they are installed.
 */
export function licences(modules: string, packages: readonly string[]): Plugin {
  return {
    name: "hearth-licences",
    apply: "build",
    generateBundle() {
      if (!existsSync(modules)) throw new Error("Run npm ci first.");
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: licenceTexts(modules, packages) });
    },
  };
}

/**
 * Writes the address of thread.js, beside what starts it, in the words by which bundlers find workers. Vite would find it by
 * them as well, here, and build it a second time.
 */
export function threadAddress(): Plugin {
  return {
    name: "hearth-thread-address",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const file of Object.values(bundle)) {
          if (file.type === "chunk") file.code = file.code.replaceAll("__THREAD__", 'new URL("./thread.js", import.meta.url)');
        }
      },
    },
  };
}

export function woff2Only(): Plugin {
  return {
    name: "hearth-woff2-only",
    enforce: "pre",
    transform(code, id) {
      if (!id.includes("katex") || !id.endsWith(".css")) return null;
      return code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\("[a-z]+"\)/g, "");
    },
  };
}
