// Single keys for what people do hundreds of times a day. A page says which it takes while it is shown; `?` lists them all. Who works with speech
// or types by accident can turn them off (WCAG 2.1.4); that is a matter of the device, and kept there.
import { createContext, useContext, useEffect, useMemo, useRef, useState } from "react";

export interface Key {
  /** As KeyboardEvent.key says it; "g o" is one after the other. */
  key: string;
  label: string;
  act: () => void;
}

interface Registry {
  isOn: boolean;
  setOn: (on: boolean) => void;
  add: (keys: () => Key[]) => () => void;
  all: () => Key[];
}

const Keys = createContext<Registry | null>(null);
const OFF = "keys-off";
const SEQUENCE_MS = 1_200;

export function KeysProvider({ children }: { children: React.ReactNode }) {
  const pages = useRef<(() => Key[])[]>([]);
  const [isOn, setIsOn] = useState(() => localStorage.getItem(OFF) === null);
  const registry = useMemo<Registry>(
    () => ({
      isOn,
      setOn: (on) => {
        if (on) localStorage.removeItem(OFF);
        else localStorage.setItem(OFF, "1");
        setIsOn(on);
      },
      add: (keys) => {
        pages.current.push(keys);
        return () => {
          pages.current = pages.current.filter((one) => one !== keys);
        };
      },
      all: () => pages.current.flatMap((keys) => keys()),
    }),
    [isOn],
  );
  useEffect(() => {
    let before = "";
    let at = 0;
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      if (document.querySelector('[role="dialog"], [role="menu"]')) return;
      // Enter belongs to what has the focus: a button that is pressed must not open a row instead.
      if (event.key === "Enter" && event.target instanceof Element && event.target.closest("a, button, summary, input")) return;
      const known = registry.all();
      // The newest page's keys count first; the switch leaves the list itself and its key alone.
      const find = (key: string) => known.findLast((one) => one.key === key);
      const both = Date.now() - at < SEQUENCE_MS ? find(`${before} ${event.key}`) : undefined;
      const found = both ?? find(event.key);
      before = event.key;
      at = Date.now();
      if (!found || (!registry.isOn && found.key !== "?")) return;
      event.preventDefault();
      before = "";
      found.act();
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [registry]);
  return <Keys.Provider value={registry}>{children}</Keys.Provider>;
}

export function useKeyRegistry(): Registry {
  const registry = useContext(Keys);
  if (!registry) throw new Error("useKeys outside of KeysProvider");
  return registry;
}

/** These keys count while the component is shown. */
export function useKeys(keys: Key[]): void {
  const { add } = useKeyRegistry();
  const now = useRef(keys);
  useEffect(() => {
    now.current = keys;
  });
  useEffect(() => add(() => now.current), [add]);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.closest("input:not([type=checkbox]), textarea, select") !== null);
}
