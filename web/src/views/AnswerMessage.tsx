// An answer of the model: as it comes, and what there is to know and to do about it.

import { CircleAlert, Copy, RefreshCw } from "lucide";
import { memo } from "preact/compat";
import type { Message } from "../api/types";
import { text } from "../i18n";
import { answering, currentModel, newChat, regenerate, type Running } from "../state/chat";
import { connected } from "../state/connection";
import { actionsFor, type Action } from "../state/failures";
import { pickerOpen, shortName } from "../state/models";
import { focusInput } from "../state/ui";
import { BranchSwitch } from "./BranchSwitch";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { FailureText } from "./FailureText";
import { copy, Markdown } from "./Markdown";
import { Thinking } from "./Thinking";
import { When } from "./When";

export const AnswerMessage = memo(function AnswerMessage({ message, last }: { message: Message; last: boolean }) {
  const t = text.value;
  const live = message.state === "running";
  const run = answering.value?.message === message.id ? answering.value : null;
  return (
    <article data-message={message.id} class={last ? "message answer last" : "message answer"} aria-label={t.assistant}>
      <div class="answer-name">
        <span class={live ? "ember" : "ember out"} />
        {message.model ? shortName(message.model) : t.assistant}
      </div>
      {message.thinking && <Thinking message={message} />}
      {live && !message.content && !message.thinking && <Waiting run={run} />}
      {message.content && <Markdown source={message.content} live={live} />}
      {message.state === "done" && !message.content && <p class="answer-note">{t.emptyAnswer}</p>}
      <Ending message={message} />
      {!live && <Actions message={message} />}
    </article>
  );
});

function Waiting({ run }: { run: Running | null }) {
  const t = text.value;
  return (
    <p class="waiting">
      <span class="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {run?.stage === "load" ? t.loadingModel : run?.promptTokens ? t.readingTokens(run.promptTokens) : t.reading}
    </p>
  );
}

/** How it ended, where that was not of itself. */
function Ending({ message }: { message: Message }) {
  const t = text.value;
  if (message.state === "error") {
    return (
      <div class="answer-failure" role="alert">
        <Icon of={CircleAlert} />
        <div>
          <FailureText failure={{ message: message.error || t.failed, hint: message.hint, kind: message.error_kind }} />
          <div class="failure-actions">
            {actionsNow(message).map((action) =>
              action === "retry" ? (
                <Retry key={action} message={message} />
              ) : (
                <button key={action} type="button" class="button small" onClick={action === "newChat" ? beginAnew : () => (pickerOpen.value = true)}>
                  {action === "newChat" ? t.newChat : t.chooseOther}
                </button>
              ),
            )}
          </div>
        </div>
      </div>
    );
  }
  const note = {
    stopped: t.stopped,
    interrupted: message.error || t.interrupted,
    running: "",
    done: { length: t.lengthCut, context: t.contextCut, repetition: t.repetitionCut }[message.finish_reason] ?? "",
  }[message.state];
  if (!note) return null;
  return (
    <p class="answer-note">
      {note} {message.state === "interrupted" && <Retry message={message} />}
    </p>
  );
}

/** Under a question that has no answer: Hearth was closed in between. */
export function Unanswered({ question }: { question: Message }) {
  return (
    <p class="answer-note">
      {text.value.unanswered} <Retry message={question} />
    </p>
  );
}

/** With another model than the one that failed, it is worth trying again. */
function actionsNow({ error_kind: kind, model }: Message): readonly Action[] {
  const actions = actionsFor(kind);
  return currentModel.value === model || actions.includes("retry") ? actions : [...actions, "retry"];
}

function beginAnew(): void {
  newChat();
  focusInput();
}

function Retry({ message }: { message: Message }) {
  return (
    <button type="button" class="button small" disabled={answering.value !== null || !connected.value} onClick={() => regenerate(message)}>
      <Icon of={RefreshCw} size={14} />
      {text.value.retry}
    </button>
  );
}

function Actions({ message }: { message: Message }) {
  const t = text.value;
  return (
    <div class="message-actions">
      <BranchSwitch message={message} />
      {message.content && <IconButton icon={Copy} size={15} label={t.copy} onClick={() => void copy(message.content)} />}
      {message.state !== "error" && (
        <IconButton
          icon={RefreshCw}
          size={15}
          label={t.regenerate}
          disabled={answering.value !== null || !connected.value}
          onClick={() => regenerate(message)}
        />
      )}
      <Figures message={message} />
      <When at={message.created} />
    </div>
  );
}

function Figures({ message: { usage, timings } }: { message: Message }) {
  const t = text.value;
  if (!usage.completion_tokens) return null;
  const details = [
    t.answerDetails(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens),
    timings.first_token_s ? t.firstToken(t.seconds(timings.first_token_s)) : "",
  ].filter(Boolean);
  return (
    <span class="figures" title={details.join("\n")}>
      {timings.tok_s > 0 && <span>{t.tokensPerSecond(timings.tok_s)}</span>}
      <span>{t.tokens(usage.completion_tokens)}</span>
    </span>
  );
}
