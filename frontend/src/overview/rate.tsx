// What comes in and goes out now, a minute, beside the last hour.
import { useEffect, useState } from "react";
import { useAsk } from "../api/hooks";
import { RatesDocument } from "./rate.generated";
import { aMinute, bordersAt, PIECE_MINUTES, piecesOf } from "./rates";

const EVERY_MS = 10_000;
const TICK_MS = 5_000;
const [WIDTH, HEIGHT, GAP] = [240, 34, 3];

/** Moves on with the minute. */
function useBorders() {
  const [borders, setBorders] = useState(() => bordersAt(Date.now()));
  useEffect(() => {
    const tick = setInterval(() => {
      const next = bordersAt(Date.now());
      setBorders((now) => (now.t0 === next.t0 ? now : next));
    }, TICK_MS);
    return () => clearInterval(tick);
  }, []);
  return borders;
}

export function RateCard() {
  const asked = useAsk(RatesDocument, useBorders(), { everyMs: EVERY_MS, isDear: true });
  const pieces = asked.data ? piecesOf(asked.data) : [];
  const now = pieces.at(-1);
  const most = Math.max(1, ...pieces.map((one) => one.accepted));
  const wide = WIDTH / Math.max(1, pieces.length);
  return (
    <section className="panel" aria-label="Messages a minute">
      <h2 className="muted small">Messages a minute, now</h2>
      <div className="row apart nowrap-row">
        <p className="figure">{now ? aMinute(now.accepted) : "–"}</p>
        <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Messages in the last hour, by ${PIECE_MINUTES} minutes: ${pieces.map((one) => one.accepted).join(", ")}`}>
          {pieces.map((one, index) => {
            const high = Math.max(1.5, (one.accepted / most) * HEIGHT);
            return <rect key={index} x={index * wide} y={HEIGHT - high} width={wide - GAP} height={high} rx="1" fill={index === pieces.length - 1 ? "var(--accent)" : "var(--line-strong)"} opacity={one.accepted === 0 ? 0.4 : 1} />;
          })}
        </svg>
      </div>
      <p className="muted small">{now ? `${aMinute(now.confirmed)} confirmed a minute; the bars are the last hour` : asked.error ? "What comes cannot be counted now" : "Counting…"}</p>
    </section>
  );
}
