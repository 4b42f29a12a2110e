// A kept picture on the screen: fetched when it is near to being seen, let go when it is gone.

import { useEffect, useState } from "preact/hooks";
import type { Attachment } from "../api/types";
import { hold, letGo } from "../state/pictures";

const NEAR = "600px";

interface Seen {
  /** Its blob: address; null: not here yet. */
  url: string | null;
  failed: boolean;
}

/** `place`: the element that stands for it; null where it is seen at once. */
export function usePicture(picture: Attachment | null, place: { current: Element | null } | null): Seen {
  const [near, setNear] = useState(place === null);
  const [seen, setSeen] = useState<Seen>({ url: null, failed: false });

  useEffect(() => {
    if (near || !place?.current) return;
    // What scrolls has to be named: else what it hides does not count as near.
    const root = place.current.closest(".thread");
    const seen = (entries: IntersectionObserverEntry[]): void => {
      if (entries.some((entry) => entry.isIntersecting)) setNear(true);
    };
    const observer = new IntersectionObserver(seen, { root, rootMargin: NEAR });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [near]);

  useEffect(() => {
    if (!near || !picture) return;
    let gone = false;
    setSeen({ url: null, failed: false });
    hold(picture).then(
      (url) => gone || setSeen({ url, failed: false }),
      () => gone || setSeen({ url: null, failed: true }),
    );
    return () => {
      gone = true;
      letGo(picture);
    };
  }, [near, picture?.id]);

  return seen;
}
