// Keeps the end of a scroller's content in view while that grows. Who scrolled up to read is left there.

import { useLayoutEffect, useRef } from "preact/hooks";

interface Options {
  /** So near to the end counts as there. */
  readonly nearPx: number;
  /** Told as the reader scrolls; answers whether the end is to stay in view, which by default it is where it is near. */
  readonly onScroll?: (isNear: boolean) => boolean;
  /** Brings something else into view as the content grows; answers whether it did. */
  readonly insteadOfEnd?: () => boolean;
}

/** Reads its options once. */
export function useEndInView<Box extends HTMLElement>({ nearPx, onScroll = (isNear) => isNear, insteadOfEnd = () => false }: Options) {
  const scroller = useRef<Box>(null);
  const content = useRef<HTMLDivElement>(null);
  const isSticking = useRef(true);
  useLayoutEffect(() => {
    const box = scroller.current!;
    let height = box.scrollHeight;
    const scrolled = (): void => {
      const isNear = box.scrollHeight - box.scrollTop - box.clientHeight < nearPx;
      // Growing content moves the end away from the reader; that is not the reader scrolling.
      if (!isNear && box.scrollHeight !== height && isSticking.current) return;
      height = box.scrollHeight;
      isSticking.current = onScroll(isNear);
    };
    const observer = new ResizeObserver(() => {
      if (!insteadOfEnd() && isSticking.current) box.scrollTop = box.scrollHeight;
      height = box.scrollHeight;
    });
    observer.observe(content.current!);
    observer.observe(box);
    box.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", scrolled);
    };
  }, []);
  return { scroller, content, isSticking };
}
