// What went wrong, in the page's words; what Hearth itself said is folded below.

import { text } from "../i18n";
import { inWords } from "../state/failures";
import type { Failure } from "../state/notices";

export function FailureText({ failure }: { failure: Failure }) {
  const { message, hint, details } = inWords(failure);
  return (
    <>
      <strong>{message}</strong>
      {hint && <span>{hint}</span>}
      {details && (
        <details class="failure-details">
          <summary>{text.value.details}</summary>
          {details}
        </details>
      )}
    </>
  );
}
