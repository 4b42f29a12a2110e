// What is seen: the model and what runs it, loading it, the message box.

import { ArrowUp, HardDrive, Square } from "lucide";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RemoteModel } from "../../runtime/src/api/worker.ts";
import type { Keeping } from "../../runtime/src/store/index.ts";
import { IconButton } from "../../src/views/Button.tsx";
import { grow } from "../../src/views/grow.ts";
import { Hearth } from "../../src/views/Hearth.tsx";
import { Icon } from "../../src/views/Icon.tsx";
import { beginAnew, send, settings, spoken, stop, turns, writing } from "./chat.ts";
import { deviceText } from "./device.ts";
import { facts, load, look, memoryOf, notice, stage } from "./model.ts";
import { isShown, show } from "./storage.ts";
import { StorageDialog } from "./StorageDialog.tsx";
import { Failure, Thread } from "./Thread.tsx";
import { bytes } from "./units.ts";

const coarse = matchMedia("(pointer: coarse)");

export function App() {
  const now = stage.value;
  return (
    <div class="app">
      <div class="main">
        <header class="header">
          <Hearth size={26} />
          <h1 class="site-title">{facts.value?.name ?? "Hearth"}</h1>
          {turns.value.length > 0 && (
            <button type="button" class="button small" onClick={beginAnew}>
              New chat
            </button>
          )}
          <IconButton icon={HardDrive} label="Kept in this browser" onClick={() => void show()} />
        </header>
        {now.is === "ready" ? <Chat model={now.model} /> : <Before />}
        <p class="visually-hidden" role="status">
          {spoken.value}
        </p>
        {isShown.value && <StorageDialog />}
      </div>
    </div>
  );
}

/** Until the model is there. */
function Before() {
  const now = stage.value;
  return (
    <main class="before">
      <Hearth size={84} alive={now.is === "loading"} />
      {now.is === "looking" && <p role="status">Looking for the model</p>}
      {now.is === "offered" && <Offer keeping={now.keeping} />}
      {now.is === "loading" && <Loading done={now.done} total={now.total} />}
      {now.is === "failed" && (
        <>
          <Failure error={now.error} />
          <button type="button" class="button primary" onClick={() => void (facts.value === undefined ? look() : load())}>
            Try again
          </button>
        </>
      )}
      <Notice />
    </main>
  );
}

function Offer({ keeping }: { keeping: Keeping }) {
  const left = keeping.totalBytes - keeping.keptBytes;
  const isShort = keeping.kind !== "memory" && keeping.freeBytes !== undefined && keeping.freeBytes < left;
  return (
    <>
      <p class="lead">This model runs in your browser. What you write stays on this device.</p>
      <dl class="takes">
        <dt>To load</dt>
        <dd>{bytes(left)}</dd>
        {keeping.keptBytes > 0 && (
          <>
            <dt>Kept here already</dt>
            <dd>{bytes(keeping.keptBytes)}</dd>
          </>
        )}
        <dt>Memory while it runs</dt>
        <dd>{bytes(memoryOf(facts.value!))}</dd>
        {keeping.freeBytes !== undefined && (
          <>
            <dt>Free for this page</dt>
            <dd>{bytes(keeping.freeBytes)}</dd>
          </>
        )}
      </dl>
      {isShort && <p role="alert">There is no room to keep all of it: it would be loaded anew each time.</p>}
      <button type="button" class="button primary" onClick={() => void load()}>
        Load the model
      </button>
    </>
  );
}

function Loading({ done, total }: { done: number; total: number }) {
  return (
    <>
      <p id="progress-label">Loading the model</p>
      <progress aria-labelledby="progress-label" max={Math.max(total, 1)} value={done} />
      <p class="progress-numbers">{total > 0 ? `${bytes(done)} of ${bytes(total)}` : "\u00a0"}</p>
    </>
  );
}

function Notice() {
  return notice.value === "" ? null : (
    <p class="notice" role="status">
      {notice.value}
    </p>
  );
}

function Chat({ model }: { model: RemoteModel }) {
  return (
    <>
      <Thread model={model} />
      <Composer model={model} />
    </>
  );
}

function Composer({ model }: { model: RemoteModel }) {
  const [content, setContent] = useState("");
  const input = useRef<HTMLTextAreaElement>(null);
  const isWriting = writing.value !== undefined;
  const canSend = !isWriting && content.trim() !== "";
  useLayoutEffect(() => {
    grow(input.current!);
  }, [content]);
  useLayoutEffect(() => {
    // On a phone a keyboard would come up and hide the page.
    if (!coarse.matches && document.activeElement === document.body) input.current!.focus();
  }, []);
  const submit = (): void => {
    if (!canSend) return;
    setContent("");
    void send(model, content.trim());
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && isWriting) return stop();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || coarse.matches) return;
    event.preventDefault();
    submit();
  };
  const what = model.chats ? "Message" : "The beginning of a text";
  return (
    <form
      class="composer"
      aria-label="Ask the model"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Notice />
      <div class="composer-box">
        <textarea
          ref={input}
          rows={1}
          dir="auto"
          value={content}
          placeholder={what}
          aria-label={what}
          onInput={(event) => setContent(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <div class="composer-row">
          <SettingsFields />
          <span class="stretch" />
          {isWriting ? (
            <button type="button" class="send stop" aria-label="Stop" onClick={stop}>
              <Icon of={Square} size={15} />
            </button>
          ) : (
            <button type="submit" class="send" disabled={!canSend} aria-label="Send">
              <Icon of={ArrowUp} size={19} />
            </button>
          )}
        </div>
      </div>
      <p class="disclaimer">
        {deviceText(model.device)}
      </p>
    </form>
  );
}

function SettingsFields() {
  const { temperature, maxTokens } = settings.value;
  return (
    <details class="sampling">
      <summary>Settings</summary>
      <div class="sampling-fields">
        <label>
          Temperature
          <input
            class="field"
            type="number"
            min={0}
            max={2}
            step={0.1}
            value={temperature}
            onChange={(event) => change(event.currentTarget, "temperature")}
          />
        </label>
        <label>
          Longest answer, tokens
          <input class="field" type="number" min={1} max={4096} value={maxTokens} onChange={(event) => change(event.currentTarget, "maxTokens")} />
        </label>
      </div>
    </details>
  );
}

function change(field: HTMLInputElement, name: "temperature" | "maxTokens"): void {
  if (field.value !== "" && field.validity.valid) settings.value = { ...settings.value, [name]: field.valueAsNumber };
  else field.value = String(settings.value[name]);
}
