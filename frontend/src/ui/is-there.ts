// Whether what asked for something is still on the page when the answer comes: what a person closed meanwhile is told in a notice, and nothing is done to what stands in its place.
import { useEffect, useRef } from "react";

export function useIsThere(): { readonly current: boolean } {
  const isThere = useRef(false);
  useEffect(() => {
    isThere.current = true;
    return () => {
      isThere.current = false;
    };
  }, []);
  return isThere;
}
