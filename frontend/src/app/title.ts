// The title of a page is its heading: what a tab, a bookmark and the history are told apart by, and what screen readers say first.
import { useEffect } from "react";

const NAME = "Crossdock";
const LENGTH_MAX = 80;

/** In whose place support looks, which stands before everything else. */
let place: string | null = null;
let again = () => {};

export function titleIn(tenant: string | null): void {
  place = tenant;
  again();
}

export function titleOf(heading: string | null | undefined, inPlaceOf: string | null = null): string {
  const text = (heading ?? "").replace(/\s+/g, " ").trim();
  const short = text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX - 1)}…` : text;
  return [inPlaceOf && `In the place of ${inPlaceOf}`, short, NAME].filter(Boolean).join(" · ");
}

/** Keeps it so while pages come and go: their headings come with what was asked for. One whose parts share a heading says in `data-title` which it is. */
export function useTitle(): void {
  useEffect(() => {
    const tell = () => {
      const heading = document.querySelector("h1");
      const title = titleOf(heading?.dataset["title"] ?? heading?.textContent, place);
      if (document.title !== title) document.title = title;
    };
    const seen = new MutationObserver(tell);
    seen.observe(document.body, { childList: true, subtree: true, characterData: true, attributeFilter: ["data-title"] });
    again = tell;
    tell();
    return () => seen.disconnect();
  }, []);
}
