// Models on their way, and those that have just come: in the list of models, and above the conversation while one is coming.

import { Check, CircleAlert, Download, X } from "lucide";
import type { Pull } from "../api/types";
import { locale, text } from "../i18n";
import { bytes } from "../numbers";
import { change, currentModel } from "../state/chat";
import { coming, dropPull, pulls, secondsLeft, startPull } from "../state/pulls";
import { IconButton } from "./Button";
import { FailureText } from "./FailureText";
import { Icon } from "./Icon";
import { Menu } from "./Menu";

export function PullList({ onUse }: { onUse: (name: string) => void }) {
  return (
    <ul class="pulls">
      {pulls.value.map((pull) => (
        <li key={pull.name} class={`pull-line ${pull.state}`}>
          {pull.state === "running" ? <Coming pull={pull} /> : pull.state === "done" ? <Here pull={pull} onUse={onUse} /> : <Failed pull={pull} />}
        </li>
      ))}
    </ul>
  );
}

/** How far all are, for as long as there is something to see. */
export function PullTray() {
  const t = text.value;
  if (pulls.value.length === 0) return null;
  const shares = coming.value.map(shareOf).filter((share) => share !== null);
  const share = shares.length > 0 ? shares.reduce((sum, one) => sum + one, 0) / shares.length : null;
  const failed = pulls.value.some((pull) => pull.state === "failed");
  const words =
    coming.value.length > 0
      ? `${t.comingModels}${share === null ? "" : `: ${percent(share)}`}`
      : failed
        ? t.pullFailed
        : t.newModels;
  return (
    <Menu
      kind="dialog"
      label={t.comingModels}
      class="pull-tray"
      button={(props) => (
        <button type="button" class="tray-button" title={words} aria-label={words} {...props}>
          <Icon of={coming.value.length > 0 ? Download : failed ? CircleAlert : Check} size={16} />
          {coming.value.length > 0 && share !== null && <span>{percent(share)}</span>}
        </button>
      )}
    >
      {(close) => (
        <PullList
          onUse={(name) => {
            void change({ model: name });
            close();
          }}
        />
      )}
    </Menu>
  );
}

function percent(share: number): string {
  return new Intl.NumberFormat(locale.value, { style: "percent" }).format(share);
}

function shareOf({ done, total }: Pull): number | null {
  return total > 0 ? Math.min(1, done / total) : null;
}

function Coming({ pull }: { pull: Pull }) {
  const t = text.value;
  const share = shareOf(pull);
  const left = secondsLeft(pull);
  const facts =
    pull.stage === "download"
      ? [
          pull.total > 0 ? `${bytes(pull.done, locale.value)} / ${bytes(pull.total, locale.value)}` : bytes(pull.done, locale.value),
          pull.bytes_per_s > 0 ? t.perSecond(bytes(pull.bytes_per_s, locale.value)) : "",
          left === null ? "" : t.timeLeft(t.seconds(Math.ceil(left))),
        ]
      : [pull.stage ? t.compiling : t.beginning];
  return (
    <>
      <div class="pull-progress-row">
        <span class="pull-name">{pull.name}</span>
        <IconButton icon={X} size={14} label={t.cancelPull(pull.name)} onClick={() => void dropPull(pull.name)} />
      </div>
      <progress {...(share === null ? {} : { value: share })} max={1} aria-label={t.pulling(pull.name)} />
      <span class="pull-facts">{facts.filter(Boolean).join(" · ")}</span>
    </>
  );
}

function Here({ pull, onUse }: { pull: Pull; onUse: (name: string) => void }) {
  const t = text.value;
  return (
    <div class="pull-progress-row">
      <Icon of={Check} size={16} />
      <span class="pull-name">{t.pullDone(pull.model)}</span>
      {pull.model !== currentModel.value && (
        <button
          type="button"
          class="button small primary"
          onClick={() => {
            void dropPull(pull.name);
            onUse(pull.model);
          }}
        >
          {t.useHere}
        </button>
      )}
      <IconButton icon={X} size={14} label={t.dismiss} onClick={() => void dropPull(pull.name)} />
    </div>
  );
}

function Failed({ pull }: { pull: Pull }) {
  const t = text.value;
  return (
    <>
      <div class="pull-progress-row">
        <span class="pull-name">{pull.name}</span>
        <IconButton icon={X} size={14} label={t.dismiss} onClick={() => void dropPull(pull.name)} />
      </div>
      <div class="pull-failure" role="alert">
        <FailureText failure={pull.error!} />
        {pull.done > 0 && (
          <button type="button" class="button small" onClick={() => void startPull(pull.name)}>
            {t.resume}
          </button>
        )}
      </div>
    </>
  );
}
