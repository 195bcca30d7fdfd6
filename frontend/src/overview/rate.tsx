// What comes in and goes out now, a minute, and how long it takes, each beside the last hour.
import { useEffect, useState } from "react";
import { useAsk } from "../api/hooks";
import { duration } from "../ui/time";
import { RatesDocument } from "./rate.generated";
import { aMinute, bordersAt, lastConfirmed, PIECE_MINUTES, type Piece } from "./rates";

const EVERY_MS = 10_000;
const TICK_MS = 5_000;
const [WIDTH, HEIGHT, GAP] = [240, 34, 3];
const OF_LATE = `by ${PIECE_MINUTES} minutes of the last hour`;

/** Moves on with the minute. */
function useBorders() {
  const [borders, setBorders] = useState(() => bordersAt(Date.now()));
  useEffect(() => {
    const tick = setInterval(() => {
      const next = bordersAt(Date.now());
      setBorders((now) => (now.from === next.from ? now : next));
    }, TICK_MS);
    return () => clearInterval(tick);
  }, []);
  return borders;
}

export function RateCards() {
  const asked = useAsk(RatesDocument, useBorders(), { everyMs: EVERY_MS, isDear: true });
  const pieces = asked.data?.throughput ?? [];
  const now = pieces.at(-1);
  const timed = lastConfirmed(pieces);
  const day = asked.data?.latency;
  const none = asked.error ? "What comes cannot be counted now" : "Counting…";
  return (
    <>
      <RateCard title="Messages a minute" figure={now && aMinute(now.accepted)} pieces={pieces} of={(one) => one.accepted} word={String}>
        {now ? `${aMinute(now.confirmed)} confirmed a minute; the bars are the last hour` : none}
      </RateCard>
      <RateCard title="Live orders a minute" figure={now && `${aMinute(now.liveOrders)}${now.isSampled ? "+" : ""}`} pieces={pieces} of={(one) => one.liveOrders} word={String}>
        {now ? "Orders that were confirmed as they came; no backfills" : none}
      </RateCard>
      <RateCard title="Time to confirmed" figure={day && (timed?.p50Ms ? duration(timed.p50Ms) : "–")} pieces={pieces} of={(one) => one.p95Ms ?? 0} word={duration}>
        {!day ? none : timed?.p95Ms ? `95 of 100 within ${duration(timed.p95Ms)} (the bars); 99 within ${duration(day.p99Ms)} in the last day` : day.count > 0 ? `99 of 100 within ${duration(day.p99Ms)} in the last day` : "Nothing was confirmed in the last day"}
      </RateCard>
    </>
  );
}

interface RateCardProps {
  title: string;
  figure: string | undefined;
  pieces: readonly Piece[];
  of: (piece: Piece) => number;
  word: (value: number) => string;
  children: React.ReactNode;
}

function RateCard({ title, figure, pieces, of, word, children }: RateCardProps) {
  const most = Math.max(1, ...pieces.map(of));
  const wide = WIDTH / Math.max(1, pieces.length);
  return (
    <section className="panel rate" aria-label={title}>
      <h2 className="muted small">{title}</h2>
      <div className="row apart nowrap-row">
        <p className="figure">{figure ?? "–"}</p>
        <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}, ${OF_LATE}: ${pieces.map((one) => word(of(one))).join(", ")}`}>
          {pieces.map((one, index) => {
            const high = Math.max(1.5, (of(one) / most) * HEIGHT);
            return <rect key={one.from} x={index * wide} y={HEIGHT - high} width={wide - GAP} height={high} rx="1" fill={index === pieces.length - 1 ? "var(--accent)" : "var(--line-strong)"} opacity={of(one) === 0 ? 0.4 : 1} />;
          })}
        </svg>
      </div>
      <p className="muted small">{children}</p>
    </section>
  );
}
