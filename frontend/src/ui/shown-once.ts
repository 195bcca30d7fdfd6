// What is shown this once. Whoever has left its page when it comes cannot be shown it any more, and is told what is to be done then.
import { useState } from "react";
import { useIsThere } from "./is-there";
import { useTell } from "./notice";

export function useShownOnce<Shown>(lost: string): [Shown | null, (shown: Shown | null) => void] {
  const [shown, setShown] = useState<Shown | null>(null);
  const isThere = useIsThere();
  const tell = useTell();
  const show = (next: Shown | null) => {
    if (isThere.current) setShown(next);
    else if (next !== null) tell(lost, "bad");
  };
  return [shown, show];
}
