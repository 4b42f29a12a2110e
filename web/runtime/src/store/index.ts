// Models as `hearth package web` writes them, kept in the browser.

export { packageBytes, type PackageFacts } from "./facts.ts";
export { type Keeping, Package, type PackageOptions } from "./package.ts";
export { removeOldVersions, removeStored, type Stored, stored, type StoredModel } from "./stored.ts";
