// What somebody types in a search is asked for once they pause.
import { useEffect, useRef } from "react";

/** Long enough that nobody's typing is asked for letter by letter. */
const TYPING_MS = 180;

export function useTyped(ask: (text: string) => void): (text: string) => void {
  const pause = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(pause.current), []);
  return (text) => {
    clearTimeout(pause.current);
    pause.current = setTimeout(() => ask(text), TYPING_MS);
  };
}
