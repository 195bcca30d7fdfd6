// How wide a part of the page is: what is drawn in it is drawn for that width, so that its words keep their size.
import { useLayoutEffect, useRef, useState, type RefObject } from "react";

/** 0 before it is in the page. */
export function useWidth<Part extends Element>(): [RefObject<Part | null>, number] {
  const part = useRef<Part>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = part.current;
    if (!element) return;
    const measure = () => setWidth(Math.floor(element.getBoundingClientRect().width));
    measure();
    const seen = new ResizeObserver(measure);
    seen.observe(element);
    return () => seen.disconnect();
  }, []);
  return [part, width];
}
