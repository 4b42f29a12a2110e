// Searches in one row of a vocabulary, none of which sorts all of it.

// Top-p looks for its nucleus among tokens at least this many times as likely as the likeliest, and widens the search only if they
// do not hold enough probability. For a trained model the first bound nearly always suffices.
const NUCLEUS_FLOORS = [1e-3, 1e-6, 0];
const SMALLEST_FLOAT = 1e-45;

export function largestOf(values: Float32Array): number {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i]! > largest) largest = values[i]!;
  return largest;
}

/**
 * Indices of the `count` largest values, and of those equal to the last of them, ascending. Values of minus infinity, masked, never
 * count: there may be fewer than `count` others.
 */
export function largestIndices(values: Float32Array, count: number): Int32Array {
  const bound = kthLargest(values, count);
  return indicesWhere(values, (value) => value >= bound && value > -Infinity);
}

/** By a heap of the `count` largest so far, whose first is their smallest: few values get into it. */
function kthLargest(values: Float32Array, count: number): number {
  const heap = new Float32Array(Math.min(count, values.length)).fill(-Infinity);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value <= heap[0]!) continue;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= value) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = value;
  }
  return heap[0]!;
}

export function indicesWhere(values: Float32Array, holds: (value: number) => boolean): Int32Array {
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) if (holds(values[i]!)) found.push(i);
  return Int32Array.from(found);
}

export const gather = (values: Float32Array, indices: Int32Array): Float32Array => {
  const found = new Float32Array(indices.length);
  for (let i = 0; i < indices.length; i++) found[i] = values[indices[i]!]!;
  return found;
};

export function sum(values: Float32Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/**
 * Indices of the fewest largest weights that hold `topP` of their sum: those above the smallest of them, then as many of its equals
 * as are wanted, both ascending.
 */
export function nucleus(weights: Float32Array, topP: number): Int32Array {
  const wanted = topP * sum(weights);
  let candidates: Int32Array = new Int32Array();
  let found: Float32Array = new Float32Array();
  for (const floor of NUCLEUS_FLOORS) {
    const least = Math.fround(floor);
    candidates = indicesWhere(weights, (value) => value >= least);
    found = gather(weights, candidates);
    if (sum(found) >= wanted) break;
  }
  const ascending = found.slice().sort();
  let place = ascending.length - 1;
  let above = 0; // the sum of what is larger than the smallest of the nucleus, and some of its equals
  // Rounding may leave the last sum a hair below what is sought: then all of them are in the nucleus.
  while (place > 0 && above + ascending[place]! < wanted) above += ascending[place--]!;
  const smallest = ascending[place]!;
  let held = 0;
  for (const weight of found) if (weight > smallest) held += weight;
  const ties = Math.max(1, Math.ceil((wanted - held) / Math.max(smallest, SMALLEST_FLOAT)));
  const larger = candidates.filter((_, i) => found[i]! > smallest);
  const equal = candidates.filter((_, i) => found[i] === smallest).subarray(0, ties);
  const chosen = new Int32Array(larger.length + equal.length);
  chosen.set(larger);
  chosen.set(equal, larger.length);
  return chosen;
}

/** The index at which the running sum of the weights passes `point`, 0 <= point < 1, of their sum. */
export function pick(weights: Float32Array, point: number): number {
  const sought = point * sum(weights);
  let running = 0;
  let last = 0; // of those with any weight
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    if (weight === 0) continue;
    running += weight;
    last = i;
    if (running > sought) break;
  }
  return last;
}

/**
 * Log-softmax of raw logits at one token and at the `top` likeliest, likeliest first (ties: lower id first), in natural logarithms.
 */
export function logprobsOf(logits: Float32Array, token: number, top: number): { logprob: number; topLogprobs: [number, number][] } {
  const largest = largestOf(logits);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.fround(Math.exp(Math.fround(logits[i]! - largest)));
  const logSum = largest + Math.log(total);
  const best = top > 0 ? [...largestIndices(logits, Math.min(top, logits.length))] : [];
  best.sort((a, b) => logits[b]! - logits[a]! || a - b);
  return {
    logprob: logits[token]! - logSum,
    topLogprobs: best.slice(0, top).map((id) => [id, logits[id]! - logSum]),
  };
}
