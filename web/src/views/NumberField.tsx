// One number of the settings: typed, or drawn with a slider; empty is the model's own.

import { useEffect, useId, useState } from "preact/hooks";
import { text } from "../i18n";
import { parseNumber, type NumberSpec } from "../state/sampling";

interface Props {
  spec: NumberSpec;
  value: number | null;
  /** The model's own number, where it is known. */
  byDefault: number | null;
  onChange: (value: number | null) => void;
}

export function NumberField({ spec, value, byDefault, onChange }: Props) {
  const t = text.value;
  const id = useId();
  const [typed, setTyped] = useState(value === null ? "" : String(value));
  useEffect(() => setTyped(value === null ? "" : String(value)), [value]);
  const wrong = parseNumber(spec, typed) === undefined;
  const commit = (): void => {
    const parsed = parseNumber(spec, typed);
    if (parsed !== undefined && parsed !== value) onChange(parsed);
  };
  return (
    <div class="number">
      <div class="number-row">
        <label for={id}>{t[spec.name]}</label>
        <input
          id={id}
          class="field"
          inputMode="decimal"
          autocomplete="off"
          value={typed}
          placeholder={byDefault === null ? t.byDefault : String(byDefault)}
          aria-invalid={wrong}
          aria-describedby={`${id}-hint`}
          onInput={(event) => setTyped(event.currentTarget.value)}
          onBlur={commit}
          onKeyDown={(event) => event.key === "Enter" && commit()}
        />
      </div>
      {spec.slider !== null && (
        <input
          type="range"
          class={value === null ? "untouched" : ""}
          min={spec.min}
          max={spec.max}
          step={spec.step}
          value={value ?? byDefault ?? spec.slider}
          aria-label={t[spec.name]}
          onInput={(event) => setTyped(event.currentTarget.value)}
          onChange={(event) => onChange(Number(event.currentTarget.value))}
        />
      )}
      <p id={`${id}-hint`} class={wrong ? "number-hint wrong" : "number-hint"}>
        {wrong ? t.outOfRange(spec.min, spec.max) : t[`${spec.name}Hint`]}
      </p>
    </div>
  );
}
