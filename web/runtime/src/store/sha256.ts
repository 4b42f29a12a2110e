// SHA-256 (FIPS 180-4) of bytes, as hex. The browser's own where the page has it: pages that come over plain http have not.

const PRIMES = Array.from({ length: 400 }, (_, i) => i).filter((n) => n > 1 && ![...Array(n).keys()].some((d) => d > 1 && n % d === 0));

/** The first 32 bits of the fraction of a number. */
const fraction = (value: number): number => Math.floor((value - Math.floor(value)) * 2 ** 32) | 0;

const ROUND_CONSTANTS = Int32Array.from(PRIMES.slice(0, 64), (prime) => fraction(Math.cbrt(prime)));
const INITIAL = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
const BLOCK = 64;

export async function sha256(content: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  return hex(subtle === undefined ? digest(content) : new Uint8Array(await subtle.digest("SHA-256", content)));
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The 32 bytes, computed here. */
export function digest(content: Uint8Array): Uint8Array {
  const state = INITIAL.slice();
  const whole = content.length - (content.length % BLOCK);
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  for (let at = 0; at < whole; at += BLOCK) compress(state, view, at);
  const rest = content.subarray(whole);
  const last = new Uint8Array(rest.length + 9 <= BLOCK ? BLOCK : 2 * BLOCK);
  last.set(rest);
  last[rest.length] = 0x80;
  const lastView = new DataView(last.buffer);
  lastView.setBigUint64(last.length - 8, BigInt(content.length) * 8n);
  for (let at = 0; at < last.length; at += BLOCK) compress(state, lastView, at);
  const result = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => result.setInt32(4 * i, word));
  return new Uint8Array(result.buffer);
}

const WORDS = new Int32Array(64);
const rotated = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

function compress(state: Int32Array, view: DataView, at: number): void {
  for (let i = 0; i < 16; i++) WORDS[i] = view.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const [early, late] = [WORDS[i - 15]!, WORDS[i - 2]!];
    const small0 = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3);
    const small1 = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10);
    WORDS[i] = WORDS[i - 16]! + small0 + WORDS[i - 7]! + small1;
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const big1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const first = (h + big1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[i]! + WORDS[i]!) | 0;
    const big0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const second = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i]! += word));
}
