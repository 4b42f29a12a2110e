// Numbers as people read them.

/** 1,234,567,890 bytes as "1.2 GB". */
export function bytes(n: number, locale: string): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) {
    n /= 1000;
    at++;
  }
  return new Intl.NumberFormat(locale, { style: "unit", unit: units[at]!, unitDisplay: "short", maximumFractionDigits: n < 10 && at > 0 ? 1 : 0 }).format(n);
}

/** 32,768 as "32.8K" ("3.3万" in Chinese). */
export function compact(n: number, locale: string): string {
  return new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(n);
}
