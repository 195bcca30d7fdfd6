// What is said while an act takes its time: what it does, and for how long it has. What is over at once says nothing. The region is there beforehand, so
// that it is read out what comes into it.
import { useEffect, useState } from "react";
import { age } from "./time";

const SAID_AFTER_MS = 500;
const TOLD_AFTER_S = 2;

export function Working({ isBusy, children = "It is under way." }: { isBusy: boolean; children?: React.ReactNode }) {
  return (
    <span role="status" className="muted small">
      {isBusy && <Said>{children}</Said>}
    </span>
  );
}

function Said({ children }: { children: React.ReactNode }) {
  const [begun] = useState(Date.now);
  const [passedMs, setPassed] = useState(0);
  useEffect(() => {
    const clock = setInterval(() => setPassed(Date.now() - begun), SAID_AFTER_MS);
    return () => clearInterval(clock);
  }, [begun]);
  const seconds = Math.floor(passedMs / 1_000);
  if (passedMs < SAID_AFTER_MS) return null;
  return (
    <>
      {children}
      {/* Seconds come too often to be read out. */}
      {seconds >= TOLD_AFTER_S && <span aria-hidden="true"> It has taken {age(seconds)} until now.</span>}
    </>
  );
}
