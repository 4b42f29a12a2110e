// Colours of labels: those that Hearth draws into pictures, and what is readable on them.

const GOLDEN = 0.61803398875;
const SATURATION = 0.75;
const VALUE = 0.95;

export type Rgb = readonly [number, number, number];

/** The colour of a label by its number, each from 0 to 1. */
export function colourOf(index: number): Rgb {
  const hue = (index * GOLDEN) % 1;
  const part = (n: number): number => {
    const k = (n + hue * 6) % 6;
    return VALUE * (1 - SATURATION * Math.max(0, Math.min(k, 4 - k, 1)));
  };
  return [part(5), part(3), part(1)];
}

export function css([red, green, blue]: Rgb): string {
  return `rgb(${[red, green, blue].map((part) => Math.round(255 * part)).join(" ")})`;
}

/** Black or white, whichever stands out more (WCAG 2, relative luminance). */
export function inkOn(colour: Rgb): string {
  const [red, green, blue] = colour.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
