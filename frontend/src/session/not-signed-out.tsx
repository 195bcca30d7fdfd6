// What somebody reads who signed out while Crossdock did not answer: that they are not signed out yet, what that means here, and what they can do. It is
// tried again by itself, and says so when it is done.
import { useEffect, useState, useSyncExternalStore } from "react";
import { Time } from "../ui/time";
import { endsAlone, leftAt, onSession, signOutAgain } from "./session";

const AGAIN_MS = 5_000;

export function NotSignedOut() {
  const left = useSyncExternalStore(onSession, leftAt);
  const [wasLeft] = useState(left !== null);
  const [isBusy, setBusy] = useState(false);
  const isLeft = left !== null;
  useEffect(() => {
    if (!isLeft) return;
    const timer = setInterval(() => void signOutAgain(), AGAIN_MS);
    return () => clearInterval(timer);
  }, [isLeft]);
  if (left === null) return wasLeft ? <p className="note good" role="status">You are signed out now.</p> : null;
  const again = () => {
    setBusy(true);
    void signOutAgain().finally(() => setBusy(false));
  };
  return (
    <div className="note bad stack tight" role="alert">
      <p>
        <strong>You are not signed out yet.</strong> Crossdock did not answer, so your session lives on there, and this browser still has its cookie: whoever
        uses it next could go on as you. It is tried again by itself while this page is open.
      </p>
      <p>
        If you have to go: from another device you can end it in your account, under “Where you are signed in”. Where nobody uses it, it ends by itself, on{" "}
        <Time at={endsAlone(left)} /> at the latest.
      </p>
      <div>
        <button type="button" className="button" disabled={isBusy} onClick={again}>
          {isBusy ? "Signing out…" : "Try again"}
        </button>
      </div>
    </div>
  );
}
