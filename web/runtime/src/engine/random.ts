// numpy's default generator: PCG64 (O'Neill's PCG XSL RR 128/64), seeded by numpy's SeedSequence, so that a seed draws the
// same numbers here as in Hearth's own engine.

const MASK32 = 0xffffffff;
const MASK64 = (1n << 64n) - 1n;
const MASK128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

const POOL = 4;
const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_L = 0xca01f9dd;
const MIX_R = 0x4973f715;

/** SeedSequence's mixing function: a hash whose constant changes with each use. */
function hasher(start: number, multiplier: number): (value: number) => number {
  let constant = start;
  return (value) => {
    const mixed = (value ^ constant) >>> 0;
    constant = Math.imul(constant, multiplier) >>> 0;
    const product = Math.imul(mixed, constant) >>> 0;
    return (product ^ (product >>> 16)) >>> 0;
  };
}

function mix(a: number, b: number): number {
  const result = (Math.imul(MIX_L, a) - Math.imul(MIX_R, b)) >>> 0;
  return (result ^ (result >>> 16)) >>> 0;
}

/** SeedSequence(seed).generate_state(4, uint64): seed below 2^64. */
function seedState(seed: bigint): bigint[] {
  const entropy = [Number(seed & BigInt(MASK32)), Number(seed >> 32n)];
  const hash = hasher(INIT_A, MULT_A);
  const pool = Array.from({ length: POOL }, (_, i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from !== to) pool[to] = mix(pool[to]!, hash(pool[from]!));
    }
  }
  const output = hasher(INIT_B, MULT_B);
  const words = Array.from({ length: 8 }, (_, i) => BigInt(output(pool[i % POOL]!)));
  return [0, 2, 4, 6].map((i) => words[i]! | (words[i + 1]! << 32n));
}

export class Random {
  #state: bigint;
  readonly #increment: bigint;

  /** @param seed 0 to 2^64 - 1; left out: another one each time. */
  constructor(seed?: number | bigint) {
    const [high, low, streamHigh, streamLow] = seedState(BigInt.asUintN(64, seed === undefined ? fresh() : BigInt(seed)));
    this.#increment = ((((streamHigh! << 64n) | streamLow!) << 1n) | 1n) & MASK128;
    this.#state = 0n;
    this.#step();
    this.#state = (this.#state + ((high! << 64n) | low!)) & MASK128;
    this.#step();
  }

  /** The next number in [0, 1), of 53 bits: numpy's `random()`. */
  next(): number {
    this.#step();
    const folded = ((this.#state >> 64n) ^ this.#state) & MASK64;
    const turn = this.#state >> 122n;
    const turned = ((folded >> turn) | (folded << (64n - turn))) & MASK64;
    return Number(turned >> 11n) / 2 ** 53;
  }

  #step(): void {
    this.#state = (this.#state * MULTIPLIER + this.#increment) & MASK128;
  }
}

function fresh(): bigint {
  const word = (): bigint => BigInt(Math.floor(Math.random() * 2 ** 32));
  return (word() << 32n) | word();
}
