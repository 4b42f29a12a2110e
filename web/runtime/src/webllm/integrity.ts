// Subresource integrity, https://www.w3.org/TR/SRI/: "sha256-" and the hash in base64.

import { IntegrityError } from "./errors.ts";

const SRI = /^(sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}$/;

export const isValidSRI = (sri: string): boolean => SRI.test(sri);

export async function verifyIntegrity(data: ArrayBuffer, expectedSRI: string, url: string, onFailure: "error" | "warn" = "error"): Promise<void> {
  const [, algorithm] = SRI.exec(expectedSRI) ?? [];
  if (algorithm === undefined) throw new Error(`${expectedSRI} is no integrity metadata: sha256-, sha384- or sha512- and the hash in base64.`);
  const digest = new Uint8Array(await crypto.subtle.digest(algorithm.replace("sha", "SHA-"), data));
  const actual = `${algorithm}-${btoa(String.fromCharCode(...digest))}`;
  if (actual === expectedSRI) return;
  const error = new IntegrityError(url, expectedSRI, actual);
  if (onFailure === "error") throw error;
  console.warn(error.message);
}
