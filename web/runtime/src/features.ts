// Which of the instructions that a bundle's modules may hold this engine knows, and computes as they are specified: there is
// no other way to ask than to give it a module with one of them. (V8 had the relaxed dot product behind a flag, and wrong,
// before it was on.)

const bytes = (...parts: (number | number[])[]): number[] => parts.flat();
const sized = (content: number[]): number[] => bytes(content.length, content);

/** Signed LEB128. */
function signed(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  return rest === (low & 0x40 ? -1 : 0) ? [low] : bytes(low | 0x80, signed(rest));
}

const i32 = (value: number): number[] => bytes(0x41, signed(value));
const I8X16_SPLAT = [0xfd, 0x0f];
const I32X4_SPLAT = [0xfd, 0x11];
const I32X4_EXTRACT_LANE_0 = [0xfd, 0x1b, 0];
const I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S = [0xfd, 0x93, 0x02];
const END = [0x0b];

/** A module that exports "f", () -> i32: lane 0 of the vector that these instructions leave. */
function moduleOf(instructions: number[]): Uint8Array<ArrayBuffer> {
  const body = sized(bytes(0, instructions, I32X4_EXTRACT_LANE_0, END)); // no locals
  const sections = [
    bytes(1, sized(bytes(1, 0x60, 0, 1, 0x7f))), // types: one, () -> i32
    bytes(3, sized(bytes(1, 0))), // functions: one, of type 0
    bytes(7, sized(bytes(1, sized([0x66]), 0, 0))), // exports: function 0 as "f"
    bytes(10, sized(bytes(1, body))), // code
  ];
  return new Uint8Array(bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], ...sections));
}

interface Probe {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly answer: number;
}

const PROBES: Readonly<Record<string, Probe>> = {
  simd128: { module: moduleOf(bytes(i32(-7), I32X4_SPLAT)), answer: -7 },
  relaxed_simd: {
    module: moduleOf(
      bytes(i32(-127), I8X16_SPLAT, i32(63), I8X16_SPLAT, i32(1000), I32X4_SPLAT, I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S),
    ),
    answer: 4 * -127 * 63 + 1000,
  },
};

/** Whether this engine has a feature as manifests name it; false for one that is not known here. */
export function hasFeature(name: string): boolean {
  const probe = PROBES[name];
  if (probe === undefined || !WebAssembly.validate(probe.module)) return false;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(probe.module));
  return (exports["f"] as () => number)() === probe.answer;
}
