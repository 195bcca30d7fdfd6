// The place of what is drawn by a library: that comes in a chunk of its own, after the page. The place has its height before, and where the chunk does not
// come, the page stands without it.
import { Suspense } from "react";
import { CatchBoundary } from "@tanstack/react-router";

export function Later({ className, children }: { className: string; children: React.ReactNode }) {
  return (
    <CatchBoundary getResetKey={() => className} errorComponent={() => <p className={`${className} muted small`}>This could not be drawn. Load the page again.</p>}>
      <Suspense fallback={<div className={className} />}>{children}</Suspense>
    </CatchBoundary>
  );
}
