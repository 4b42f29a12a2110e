// A picture and what a model sees in it: boxes, regions, depths, labels, and the same as a table.

import { ImageUp, RotateCcw } from "lucide";
import type { TargetedPointerEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Found, Region } from "../api/types";
import { locale, text } from "../i18n";
import {
  drawn,
  failure,
  labels,
  labelsOf,
  LEAST_SURE,
  look,
  looking,
  parts,
  pointed,
  regionAt,
  seeing,
  show,
  shown,
  sight,
  threshold,
} from "../state/sight";
import { colourOf, css, inkOn } from "./colours";
import { FailureText } from "./FailureText";
import { Icon } from "./Icon";

export function Sight() {
  const t = text.value;
  const task = seeing.value?.task ?? "classify";
  const picture = shown.value;
  return (
    <div id="sight" class="thread sight" tabIndex={0} role="region" aria-label={t.sight} aria-busy={looking.value}>
      <div class="sight-content">
        <h2 class="sight-title">{t.sightTitles[task as keyof typeof t.sightTitles] ?? t.sight}</h2>
        {task === "zero_shot" && <Labels />}
        {picture ? <Picture /> : <DropZone />}
        {failure.value && (
          <div class="sight-failure" role="alert">
            <FailureText failure={failure.value} />
          </div>
        )}
        <Told />
        <p class="disclaimer">{t.sightPrivacy}</p>
      </div>
    </div>
  );
}

function PictureInput({ input }: { input: { current: HTMLInputElement | null } }) {
  return (
    <input
      ref={input}
      type="file"
      accept="image/*"
      class="visually-hidden"
      tabIndex={-1}
      aria-hidden="true"
      onChange={(event) => {
        const file = event.currentTarget.files?.[0];
        if (file) show(file);
        event.currentTarget.value = "";
      }}
    />
  );
}

function DropZone() {
  const input = useRef<HTMLInputElement>(null);
  const t = text.value;
  return (
    <>
      <button type="button" class="sight-drop" onClick={() => input.current?.click()}>
        <Icon of={ImageUp} size={44} />
        <strong>{t.sightDrop}</strong>
        <span>{t.sightDropHint}</span>
      </button>
      <PictureInput input={input} />
    </>
  );
}

/** What a model chooses among that was made for any words. */
function Labels() {
  const t = text.value;
  return (
    <form
      class="sight-labels"
      onSubmit={(event) => {
        event.preventDefault();
        void look();
      }}
    >
      <label for="sight-labels">{t.sightLabels}</label>
      <div class="pull-row">
        <input
          id="sight-labels"
          class="field"
          value={labels.value}
          placeholder={t.sightLabelsPlaceholder}
          dir="auto"
          autocomplete="off"
          onInput={(event) => (labels.value = event.currentTarget.value)}
        />
        <button type="submit" class="button primary" disabled={!shown.value || labelsOf(labels.value).length === 0}>
          {t.sightLook}
        </button>
      </div>
    </form>
  );
}

function Picture() {
  const t = text.value;
  const input = useRef<HTMLInputElement>(null);
  const told = sight.value;
  const [plain, setPlain] = useState(false);
  const url = drawn.value && !plain ? drawn.value : shown.value!.url;
  useEffect(() => setPlain(false), [drawn.value]);
  return (
    <>
      <figure class={`sight-figure ${looking.value ? "looking" : ""}`}>
        <div class="sight-frame" onPointerMove={pointAt} onPointerDown={pointAt} onPointerLeave={() => (pointed.value = null)}>
          <img src={url} alt={shown.value!.file.name} />
          {parts.value && pointed.value !== null && <Spotlight numbers={parts.value} place={pointed.value} />}
          {told?.task === "detect" && <Boxes width={told.width} height={told.height} found={sure(told.found ?? [])} />}
        </div>
        <figcaption class="sight-tools">
          {looking.value && (
            <span class="sight-busy">
              <span class="spinner" />
              {t.sightLooking}
            </span>
          )}
          {drawn.value && (
            <button type="button" class="toggle" aria-pressed={!plain} onClick={() => setPlain(!plain)}>
              {t.sightOverlay}
            </button>
          )}
          <span class="stretch" />
          <button type="button" class="button small" onClick={() => input.current?.click()}>
            <Icon of={RotateCcw} size={15} />
            {t.sightOther}
          </button>
        </figcaption>
      </figure>
      <PictureInput input={input} />
    </>
  );
}

function pointAt(event: TargetedPointerEvent<HTMLElement>): void {
  if (!parts.value) return;
  const frame = event.currentTarget.getBoundingClientRect();
  pointed.value = regionAt(parts.value, (event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height);
}

/** Darkens all of the picture but one region. */
function Spotlight({ numbers, place }: { numbers: ImageData; place: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const veil = new ImageData(numbers.width, numbers.height);
    for (let at = 0; at < veil.data.length; at += 4) veil.data[at + 3] = numbers.data[at] === place + 1 ? 0 : 150;
    canvas.current!.getContext("2d")!.putImageData(veil, 0, 0);
  }, [numbers, place]);
  return <canvas ref={canvas} class="sight-spotlight" width={numbers.width} height={numbers.height} aria-hidden="true" />;
}

/** What a row does so that its region or object stands out in the picture; the name in it can be reached by the keyboard. */
function pointing(place: number) {
  const point = (): void => {
    pointed.value = place;
  };
  const leave = (): void => {
    if (pointed.peek() === place) pointed.value = null;
  };
  return {
    class: pointed.value === place ? "pointed" : "",
    onPointerEnter: point,
    onPointerLeave: leave,
    onFocusIn: point,
    onFocusOut: leave,
  };
}

function sure(found: Found[]): Found[] {
  return found.filter((one) => one.score >= threshold.value);
}

/** The objects' boxes over the picture; the table says the same in words. */
function Boxes({ width, height, found }: { width: number; height: number; found: Found[] }) {
  const part = (value: number, of: number): string => `${(100 * Math.min(Math.max(value, 0), of)) / of}%`;
  return (
    <div class="sight-boxes" aria-hidden="true">
      {found.map((one, place) => {
        const colour = colourOf(one.index);
        const [left, top, right, bottom] = [one.left ?? 0, one.top ?? 0, one.right ?? 0, one.bottom ?? 0];
        return (
          <div
            key={place}
            class={pointed.value === null || pointed.value === place ? "sight-box" : "sight-box away"}
            style={{
              zIndex: String(found.length - place), // the surest on top
              left: part(left, width),
              top: part(top, height),
              width: part(Math.min(right, width) - Math.max(left, 0), width),
              height: part(Math.min(bottom, height) - Math.max(top, 0), height),
              borderColor: css(colour),
            }}
          >
            <span class={top < height / 12 ? "sight-tag inside" : "sight-tag"} style={{ backgroundColor: css(colour), color: inkOn(colour) }}>
              {one.label}
            </span>
          </div>
        );
      })}
    </div>
  );
}

function percent(part: number): string {
  return new Intl.NumberFormat(locale.value, { style: "percent", maximumFractionDigits: part < 0.1 ? 1 : 0 }).format(part);
}

function Told() {
  const told = sight.value;
  if (!told) return null;
  if (told.regions) return <Regions regions={told.regions} />;
  if (told.embedding) return <Vector numbers={told.embedding} />;
  if (told.metric !== undefined) return <Depths metric={told.metric} values={[told.least!, told.median!, told.most!]} />;
  return told.task === "detect" ? <Objects found={told.found ?? []} /> : <Guesses found={told.found ?? []} />;
}

function Swatch({ colour }: { colour: number }) {
  return <span class="sight-swatch" style={{ backgroundColor: css(colourOf(colour)) }} aria-hidden="true" />;
}

/** A share as a bar behind its number. */
function Bar({ part }: { part: number }) {
  return (
    <div class="sight-bar">
      <div class="sight-bar-track" aria-hidden="true">
        <div class="sight-bar-fill" style={{ width: `${100 * part}%` }} />
      </div>
      <span>{percent(part)}</span>
    </div>
  );
}

function Guesses({ found }: { found: Found[] }) {
  const t = text.value;
  return (
    <table class="sight-table">
      <caption>{t.sightGuesses}</caption>
      <thead>
        <tr>
          <th scope="col">{t.sightLabel}</th>
          <th scope="col">{t.sightScore}</th>
        </tr>
      </thead>
      <tbody>
        {found.map((one) => (
          <tr key={one.index}>
            <th scope="row">{one.label}</th>
            <td>
              <Bar part={one.score} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Objects({ found }: { found: Found[] }) {
  const t = text.value;
  const shownOnes = sure(found);
  return (
    <>
      <div class="sight-slider">
        <label for="sight-threshold">{t.sightThreshold}</label>
        <input
          id="sight-threshold"
          type="range"
          min={LEAST_SURE}
          max={0.95}
          step={0.05}
          value={threshold.value}
          aria-valuetext={percent(threshold.value)}
          onInput={(event) => (threshold.value = event.currentTarget.valueAsNumber)}
        />
        <output for="sight-threshold">{percent(threshold.value)}</output>
      </div>
      <table class="sight-table">
        <caption>{t.sightObjects(shownOnes.length)}</caption>
        <thead>
          <tr>
            <th scope="col">{t.sightObject}</th>
            <th scope="col">{t.sightScore}</th>
            <th scope="col">{t.sightPlace}</th>
          </tr>
        </thead>
        <tbody>
          {shownOnes.map((one, row) => (
            <tr key={row} {...pointing(row)}>
              <th scope="row">
                <Swatch colour={one.index} />
                <span tabIndex={0}>{one.label}</span>
              </th>
              <td>
                <Bar part={one.score} />
              </td>
              <td class="sight-place">{t.sightBox(Math.round(one.left ?? 0), Math.round(one.top ?? 0), Math.round(one.right ?? 0), Math.round(one.bottom ?? 0))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** Labels have their colours; of a model that tells objects apart (it says how sure it is) each object has its own. */
function Regions({ regions }: { regions: Region[] }) {
  const t = text.value;
  const areObjects = regions.some((one) => one.score !== undefined);
  return (
    <table class="sight-table">
      <caption>{t.sightRegions(regions.length)}</caption>
      <thead>
        <tr>
          <th scope="col">{areObjects ? t.sightObject : t.sightRegion}</th>
          <th scope="col">{t.sightShare}</th>
        </tr>
      </thead>
      <tbody>
        {regions.map((one, place) => (
          <tr key={place} {...(parts.value ? pointing(place) : {})}>
            <th scope="row">
              <Swatch colour={areObjects ? place : one.index} />
              <span {...(parts.value ? { tabIndex: 0 } : {})}>{one.label}</span>
            </th>
            <td>
              <Bar part={one.share} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Depths({ metric, values }: { metric: boolean; values: [number, number, number] }) {
  const t = text.value;
  const written = values.map((value) => new Intl.NumberFormat(locale.value, { maximumSignificantDigits: 3 }).format(value));
  const unit = metric ? " m" : "";
  return (
    <table class="sight-table">
      <caption>{metric ? t.sightMetres : t.sightNearer}</caption>
      <thead>
        <tr>
          <th scope="col">{t.sightLeast}</th>
          <th scope="col">{t.sightMedian}</th>
          <th scope="col">{t.sightMost}</th>
        </tr>
      </thead>
      <tbody>
        <tr>
          {written.map((value, at) => (
            <td key={at}>
              {value}
              {unit}
            </td>
          ))}
        </tr>
      </tbody>
    </table>
  );
}

function Vector({ numbers }: { numbers: number[] }) {
  const t = text.value;
  const [copied, setCopied] = useState(false);
  return (
    <div class="sight-vector">
      <p>{t.sightVector(numbers.length)}</p>
      <code tabIndex={0}>{numbers.slice(0, 8).map((n) => n.toFixed(4)).join(", ")} …</code>
      <button
        type="button"
        class="button small"
        onClick={() =>
          void navigator.clipboard.writeText(JSON.stringify(numbers)).then(
            () => setCopied(true),
            () => setCopied(false),
          )
        }
      >
        {copied ? t.copied : t.copy}
      </button>
    </div>
  );
}
