// Texts that nobody can guess and nobody else has. `crypto.randomUUID` is only there for pages over HTTPS.

const BYTES = 16;

export const uniqueText = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");
