// The message box, with its files, the thinking switch and the context meter.

import { ArrowUp, ImageOff, Lightbulb, Paperclip, Square } from "lucide";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { shortcut } from "../keys";
import { text } from "../i18n";
import { answering, change, currentModel, currentSettings, path, stop } from "../state/chat";
import { attachFiles, blind, canSend, contextFull, failureOf, removeChip, send, setContent, writing } from "../state/composer";
import { modelNamed, pickerOpen, shortName } from "../state/models";
import { openId } from "../state/route";
import { isNarrow, targets } from "../state/ui";
import { AttachmentChip } from "./AttachmentChip";
import { IconButton } from "./Button";
import { ContextMeter } from "./ContextMeter";
import { Documents } from "./Documents";
import { grow } from "./grow";
import { Icon } from "./Icon";

const coarse = matchMedia("(pointer: coarse)");

export function Composer() {
  const t = text.value;
  const { content, chips } = writing.value;
  const input = useRef<HTMLTextAreaElement>(null);

  useLayoutEffect(() => grow(input.current!), [content, isNarrow.value]);
  useEffect(() => {
    targets.input = input.current;
    // On a phone the focus would bring up the keyboard over half the page.
    if (!coarse.matches) input.current?.focus();
  }, [openId.value]);

  const onKeyDown = (event: KeyboardEvent): void => {
    // While an input method is choosing characters, Enter is part of writing (229: Safari says so only here).
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (coarse.matches && !event.ctrlKey && !event.metaKey) return; // a phone's Enter begins a new line
    event.preventDefault();
    void send();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {contextFull.value && (
        <p class="context-full" role="alert">
          {t.contextFull}
        </p>
      )}
      <BlindNote />
      <div class="composer-box">
        {chips.length > 0 && (
          <ul class="chips" aria-label={t.attachments}>
            {chips.map((chip) => (
              <AttachmentChip
                key={chip.key}
                name={chip.name}
                attachment={chip.attachment}
                failure={failureOf(chip)}
                url={chip.failure ? null : chip.url}
                onRemove={() => removeChip(chip.key)}
              />
            ))}
          </ul>
        )}
        <textarea
          id="input"
          ref={input}
          rows={1}
          dir="auto"
          value={content}
          placeholder={t.composerPlaceholder}
          aria-label={t.composerLabel}
          onInput={(event) => setContent(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <div class="composer-row">
          <AttachButton />
          <Documents />
          <ThinkingSwitch />
          <span class="stretch" />
          <ContextMeter />
          {answering.value ? (
            <button type="button" class="send stop" aria-label={t.stop} title={`${t.stop} (${shortcut("stop")})`} onClick={() => void stop()}>
              <Icon of={Square} size={15} />
            </button>
          ) : (
            <button type="submit" class="send" disabled={!canSend.value} aria-label={t.send} title={`${t.send} (${shortcut("send")})`}>
              <Icon of={ArrowUp} size={19} />
            </button>
          )}
        </div>
      </div>
      <p class="disclaimer">{t.disclaimer}</p>
    </form>
  );
}

/** Where the conversation has pictures that its model cannot see. */
function BlindNote() {
  const t = text.value;
  if (!blind.value || !path.value.some((message) => message.attachments.some((file) => file.picture))) return null;
  return (
    <p class="blind-note" role="status">
      <Icon of={ImageOff} size={17} />
      <span>{t.blindNote(shortName(currentModel.value ?? ""))}</span>
      <button type="button" class="button small" onClick={() => (pickerOpen.value = true)}>
        {t.chooseOther}
      </button>
    </p>
  );
}

function AttachButton() {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <IconButton
        icon={Paperclip}
        label={modelNamed(currentModel.value)?.sees ? text.value.attachSeeing : text.value.attach}
        onClick={() => input.current?.click()}
      />
      <input
        ref={input}
        type="file"
        multiple
        class="visually-hidden"
        tabIndex={-1}
        aria-hidden="true"
        onChange={(event) => {
          attachFiles([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
          targets.input?.focus();
        }}
      />
    </>
  );
}

/** Only for models that can think; they do unless told not to. */
function ThinkingSwitch() {
  if (!modelNamed(currentModel.value)?.thinking) return null;
  const settings = currentSettings.value;
  const on = settings.thinking !== false;
  return (
    <button type="button" class="toggle" aria-pressed={on} onClick={() => void change({ settings: { ...settings, thinking: !on } })}>
      <Icon of={Lightbulb} size={16} />
      {text.value.thinkingToggle}
    </button>
  );
}
