// "2 / 3": the versions of a message, with the way to the ones before and after.

import { ChevronLeft, ChevronRight } from "lucide";
import type { Message } from "../api/types";
import { text } from "../i18n";
import { answering, conversation, switchTo } from "../state/chat";
import { siblings } from "../state/tree";
import { IconButton } from "./Button";

export function BranchSwitch({ message }: { message: Message }) {
  const t = text.value;
  const versions = siblings(conversation.value?.messages ?? [], message);
  if (versions.length < 2) return null;
  const at = versions.findIndex((version) => version.id === message.id);
  const busy = answering.value !== null;
  return (
    <div class="branch" role="group" aria-label={t.branchLabel(at + 1, versions.length)}>
      <IconButton icon={ChevronLeft} size={15} label={t.previousBranch} disabled={busy || at === 0} onClick={() => void switchTo(versions[at - 1]!)} />
      <span>{t.branch(at + 1, versions.length)}</span>
      <IconButton
        icon={ChevronRight}
        size={15}
        label={t.nextBranch}
        disabled={busy || at === versions.length - 1}
        onClick={() => void switchTo(versions[at + 1]!)}
      />
    </div>
  );
}
