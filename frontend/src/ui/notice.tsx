// What has just been done, said once, in a corner and to screen readers, with the way back where there is one: by its button, or by the key z. It stays long
// enough to be read, as long as somebody points at it, and never takes the focus.
import { createContext, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { useKeys } from "./keys";

/** Takes back what was said. */
export type Undo = () => void;
type Tone = "good" | "bad";
type Tell = (text: string, tone?: Tone, undo?: Undo) => void;
interface Said {
  id: number;
  text: string;
  tone: Tone;
  undo?: Undo | undefined;
}

const Notices = createContext<Tell>(() => undefined);
const SHOWN_MS = 8_000;
/** One has to read it, think, and reach the button. */
const UNDO_SHOWN_MS = 20_000;

export function useTell(): Tell {
  return useContext(Notices);
}

export function NoticeProvider({ children }: { children: React.ReactNode }) {
  const [notices, setNotices] = useState<Said[]>([]);
  const [isHeld, setHeld] = useState(false);
  const drop = useCallback((id: number) => setNotices((all) => all.filter((one) => one.id !== id)), []);
  const tell = useMemo<Tell>(() => {
    let next = 0;
    return (text, tone = "good", undo) => {
      const id = ++next;
      setNotices((all) => [...all.slice(-3), { id, text, tone, undo }]);
    };
  }, []);
  const takeBack = (notice: Said) => {
    drop(notice.id);
    notice.undo?.();
  };
  const last = notices.findLast((one) => one.undo);
  useKeys(last ? [{ key: "z", label: "Take back what you did last", act: () => takeBack(last) }] : []);
  return (
    <Notices.Provider value={tell}>
      {children}
      <div className="notices" role="status" aria-live="polite" onPointerEnter={() => setHeld(true)} onPointerLeave={() => setHeld(false)} onFocus={() => setHeld(true)} onBlur={() => setHeld(false)}>
        {notices.map((notice) => (
          <Notice key={notice.id} notice={notice} isHeld={isHeld} drop={drop} takeBack={takeBack} />
        ))}
      </div>
    </Notices.Provider>
  );
}

function Notice({ notice, isHeld, drop, takeBack }: { notice: Said; isHeld: boolean; drop: (id: number) => void; takeBack: (notice: Said) => void }) {
  const { id, tone, text, undo } = notice;
  useEffect(() => {
    // What went wrong stays until it was read.
    if (isHeld || tone === "bad") return;
    const timer = setTimeout(() => drop(id), undo ? UNDO_SHOWN_MS : SHOWN_MS);
    return () => clearTimeout(timer);
  }, [id, tone, undo, isHeld, drop]);
  return (
    <div className={`note ${tone}`}>
      <span className="break">{text}</span>
      <span className="row">
        {undo && (
          <button type="button" className="button" onClick={() => takeBack(notice)}>
            Undo <kbd>z</kbd>
          </button>
        )}
        <button type="button" className="button quiet" aria-label="Close this notice" onClick={() => drop(id)}>
          ✕
        </button>
      </span>
    </div>
  );
}
