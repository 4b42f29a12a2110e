// The random numbers of a request: numpy's `Generator(PCG64(seed)).random()`, so that one seed draws the same here and in Python.
//
// Source: M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
// Generation", 2014 (PCG XSL RR 128/64), and numpy's SeedSequence, which spreads a seed over the generator's state.

const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

const POOL_WORDS = 4;
const SHIFT = 16;

/** Numpy's `SeedSequence(seed).generate_state`: `count` words of 32 bits. */
function seedWords(seed: bigint, count: number): number[] {
  let constant = 0x43b0d7e5;
  const hash = (value: number): number => {
    const mixed = value ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    const product = Math.imul(mixed, constant);
    return product ^ (product >>> SHIFT);
  };
  const mix = (x: number, y: number): number => {
    const result = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
    return result ^ (result >>> SHIFT);
  };
  const pool = Array.from({ length: POOL_WORDS }, (_, word) => hash(Number((seed >> BigInt(32 * word)) & 0xffffffffn)));
  for (let source = 0; source < POOL_WORDS; source++) {
    for (let target = 0; target < POOL_WORDS; target++) {
      if (source !== target) pool[target] = mix(pool[target]!, hash(pool[source]!));
    }
  }
  constant = 0x8b51f9dd;
  return Array.from({ length: count }, (_, word) => {
    const mixed = pool[word % POOL_WORDS]! ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    const product = Math.imul(mixed, constant);
    return (product ^ (product >>> SHIFT)) >>> 0;
  });
}

export class Random {
  #state: bigint;
  readonly #increment: bigint;

  /** @param seed 0 .. 2^64 - 1; undefined: one from the system. */
  constructor(seed?: bigint) {
    const words = seedWords(seed ?? crypto.getRandomValues(new BigUint64Array(1))[0]!, 8).map(BigInt);
    const wide = (word: number): bigint => words[word]! | (words[word + 1]! << 32n);
    const start = (wide(0) << 64n) | wide(2);
    this.#increment = ((((wide(4) << 64n) | wide(6)) << 1n) | 1n) & MASK_128;
    this.#state = this.#increment; // one step from zero
    this.#state = (this.#state + start) & MASK_128;
    this.#step();
  }

  /** The next number of [0, 1), 53 random bits. */
  next(): number {
    this.#step();
    const folded = (this.#state >> 64n) ^ (this.#state & MASK_64);
    const turn = this.#state >> 122n;
    const bits = ((folded >> turn) | (folded << (64n - turn))) & MASK_64;
    return Number(bits >> 11n) * 2 ** -53;
  }

  #step(): void {
    this.#state = (this.#state * MULTIPLIER + this.#increment) & MASK_128;
  }
}
