// What has just been done, said once, in a corner and to screen readers. It stays long enough to be read, and never takes the focus.
import { createContext, useCallback, useContext, useMemo, useState } from "react";

type Tell = (text: string, tone?: "good" | "bad") => void;
const Notices = createContext<Tell>(() => undefined);
const SHOWN_MS = 8_000;

export function useTell(): Tell {
  return useContext(Notices);
}

export function NoticeProvider({ children }: { children: React.ReactNode }) {
  const [notices, setNotices] = useState<{ id: number; text: string; tone: string }[]>([]);
  const drop = useCallback((id: number) => setNotices((all) => all.filter((one) => one.id !== id)), []);
  const tell = useMemo<Tell>(() => {
    let next = 0;
    return (text, tone = "good") => {
      const id = ++next;
      setNotices((all) => [...all.slice(-3), { id, text, tone }]);
      // What went wrong stays until it was read.
      if (tone === "good") setTimeout(() => drop(id), SHOWN_MS);
    };
  }, [drop]);
  return (
    <Notices.Provider value={tell}>
      {children}
      <div className="notices" role="status" aria-live="polite">
        {notices.map((notice) => (
          <div key={notice.id} className={`note ${notice.tone}`}>
            <span>{notice.text}</span>
            <button type="button" className="button quiet" aria-label="Close this notice" onClick={() => drop(notice.id)}>
              ✕
            </button>
          </div>
        ))}
      </div>
    </Notices.Provider>
  );
}
