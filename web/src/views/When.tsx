// When something was said: the time of today, else the day; all of it when it is pointed at.

import { locale } from "../i18n";

export function When({ at }: { at: string }) {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return null;
  const today = time.toDateString() === new Date().toDateString();
  const short = new Intl.DateTimeFormat(locale.value, today ? { timeStyle: "short" } : { day: "numeric", month: "short" });
  const long = new Intl.DateTimeFormat(locale.value, { dateStyle: "full", timeStyle: "short" });
  return (
    <time class="when" dateTime={at} title={long.format(time)}>
      {short.format(time)}
    </time>
  );
}
