// Models as `hearth package web` writes them, kept in the browser.

export { type Keeping, Package, type PackageFacts, type PackageOptions } from "./package.ts";
