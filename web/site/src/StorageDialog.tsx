// What is kept in this browser, and the buttons that remove it. Each asks once more before it does.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { StoredModel } from "../../runtime/src/store/index.ts";
import { Dialog } from "../../src/views/Dialog.tsx";
import { modelUrl } from "./model.ts";
import { isShown, kept, removeModel, removeOld } from "./storage.ts";
import { bytes } from "./units.ts";

type Removal = "old" | "model";

export function StorageDialog() {
  const [asked, setAsked] = useState<Removal | undefined>(undefined);
  const close = (): void => void (isShown.value = false);
  const now = kept.value;
  const mine = now?.models.filter(({ url }) => url === modelUrl.href) ?? [];
  const others = now?.models.filter(({ url }) => url !== modelUrl.href) ?? [];
  return (
    <Dialog title="Kept in this browser" closeLabel="Close" onClose={close} class="storage">
      {now === undefined && <p role="status">Looking</p>}
      {now?.totalBytes === 0 && <p>Nothing of the model.</p>}
      {now !== undefined && now.totalBytes > 0 && (
        <>
          <table class="kept">
            <tbody>
              {mine.map((model, i) => (
                <Row key={model.version} what={i === 0 ? model.name : "An older version of it"} model={model} />
              ))}
              {others.map((model) => (
                <Row key={model.url + model.version} what={`${model.name}, of ${new URL(model.url).pathname.replace(/[^/]*$/, "")}`} model={model} />
              ))}
            </tbody>
            <tfoot>
              <tr>
                <th scope="row">Together</th>
                <td>{bytes(now.totalBytes)}</td>
              </tr>
            </tfoot>
          </table>
          {now.oldBytes > 0 && <Remove removal="old" label={`Remove what is no longer needed (${bytes(now.oldBytes)})`} asked={asked} ask={setAsked} />}
          {mine.length > 0 && <Remove removal="model" label="Remove this model from this browser" asked={asked} ask={setAsked} />}
        </>
      )}
      <p class="dialog-foot">What you write and what is answered is not kept: it is gone when the page is closed.</p>
    </Dialog>
  );
}

function Row({ what, model }: { what: string; model: StoredModel }) {
  return (
    <tr>
      <th scope="row">
        {what}
        {!model.isComplete && <span class="not-whole"> (not whole yet)</span>}
      </th>
      <td>{bytes(model.keptBytes)}</td>
    </tr>
  );
}

const QUESTIONS: Readonly<Record<Removal, string>> = {
  old: "Remove the parts that the newest version does not need? Until that is loaded whole, this model then needs the network.",
  model: "Remove it? This ends the conversation, and the model has to be loaded anew before it answers again.",
};

interface RemoveProps {
  readonly removal: Removal;
  readonly label: string;
  readonly asked: Removal | undefined;
  readonly ask: (removal: Removal | undefined) => void;
}

function Remove({ removal, label, asked, ask }: RemoveProps) {
  const isAsked = asked === removal;
  const wasAsked = useRef(false);
  const button = useRef<HTMLButtonElement>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    if (isAsked) cancel.current!.focus();
    else if (wasAsked.current) button.current!.focus();
    wasAsked.current = isAsked;
  }, [isAsked]);
  if (!isAsked) {
    return (
      <button type="button" class="button" ref={button} onClick={() => ask(removal)}>
        {label}
      </button>
    );
  }
  return (
    <div class="asked" role="group" aria-label={label}>
      <p id={`question-${removal}`}>{QUESTIONS[removal]}</p>
      <div class="dialog-actions">
        <button type="button" class="button" ref={cancel} aria-describedby={`question-${removal}`} onClick={() => ask(undefined)}>
          Cancel
        </button>
        <button
          type="button"
          class="button danger"
          onClick={() => {
            ask(undefined);
            void (removal === "old" ? removeOld() : removeModel());
          }}
        >
          Remove
        </button>
      </div>
    </div>
  );
}
