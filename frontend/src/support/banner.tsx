// Above everything else while support is in a tenant's place: whose it is, who looks and why, how long yet, and the way out. It stays where one scrolls and
// nobody closes it. Its seconds are not read aloud; that the end is near is.
import { useEffect, useRef, useState } from "react";
import { serverNow } from "../api/client";
import { useViewer } from "../app/tenants";
import { titleIn } from "../app/title";
import { ended } from "../session/impersonation";
import { Badge } from "../ui/badge";
import { Time } from "../ui/time";
import { useLeave } from "./leave";
import { called, countdown, warning } from "./words";

/** The server's clock is known to the second. */
const GRACE_MS = 1_000;

export function ImpersonationBanner() {
  const viewer = useViewer();
  const running = viewer.data?.viewer?.impersonation;
  const { leave, isLeaving } = useLeave();
  const box = useRef<HTMLDivElement>(null);
  const [now, setNow] = useState(serverNow);
  const isRunning = Boolean(running);
  const leftMs = running ? Date.parse(running.endsAt) - now : 0;
  const isOver = isRunning && leftMs <= -GRACE_MS;
  const id = running?.id;
  const slug = running?.tenantSlug;
  useEffect(() => {
    if (!isRunning) return;
    const clock = setInterval(() => setNow(serverNow()), 1_000);
    return () => clearInterval(clock);
  }, [isRunning]);
  useEffect(() => {
    if (isOver && id) void ended(id);
  }, [isOver, id]);
  useEffect(() => {
    // What sticks to the top of a page sticks below it, however many lines it has.
    const shown = box.current;
    if (!shown || !slug) return;
    const root = document.documentElement;
    const measure = new ResizeObserver(() => root.style.setProperty("--banner", `${shown.offsetHeight}px`));
    measure.observe(shown);
    titleIn(slug);
    return () => {
      measure.disconnect();
      root.style.removeProperty("--banner");
      titleIn(null);
    };
  }, [slug]);
  if (!running) return null;
  const { staff, tenant, reason, ticket, endsAt, mayWrite } = running;
  return (
    <div ref={box} className={mayWrite ? "in-place writes" : "in-place"} role="status" aria-label="Support in a tenant’s place">
      <p className="row who-where">
        <strong className="break">You are in the place of {tenant}</strong> <Badge tone={mayWrite ? "bad" : "warn"}>{mayWrite ? "with writes" : "read only"}</Badge>
        <span className="num nowrap" role="timer" aria-live="off">
          {countdown(leftMs)} left
        </span>
        <span className="hidden-label">{warning(leftMs)}</span>
      </p>
      <p className="small break why" title={reason}>
        {called(staff)}, ticket {ticket}: “{reason}”. Until <Time at={endsAt} />, and all that you ask stands in its audit log.
      </p>
      <button type="button" className="button" disabled={isLeaving} onClick={() => leave(running)}>
        Leave its place
      </button>
    </div>
  );
}
