// What comes in and goes out now, a minute, and how long it takes, each with the last hour as a chart.
import { lazy, useEffect, useState } from "react";
import { useAsk } from "../api/hooks";
import { Later } from "../ui/later";
import type { Series } from "../ui/scales";
import { duration } from "../ui/time";
import { RatesDocument } from "./rate.generated";
import { aMinute, bordersAt, lastConfirmed, PIECE_MINUTES, perMinute, said, unitOf, type Piece } from "./rates";

const EVERY_MS = 10_000;
const TICK_MS = 5_000;
const OF_LATE = `by ${PIECE_MINUTES} minutes of the last hour`;

const Chart = lazy(() => import("../ui/chart").then((part) => ({ default: part.Chart })));
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

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
  const rates = (name: string, as: Series["as"], tone: Series["tone"], of: (piece: Piece) => number): Series => ({ name, as, tone, values: pieces.map((one) => perMinute(of(one))) });
  const unit = unitOf(Math.max(0, ...pieces.map((one) => one.p95Ms ?? 0)));
  const times = (name: string, tone: Series["tone"], of: (piece: Piece) => number | null): Series => ({ name, as: "line", tone, values: pieces.map((one) => inUnits(of(one), unit.ms)) });
  return (
    <>
      <RateCard
        title="Messages a minute"
        figure={now && aMinute(now.accepted)}
        pieces={pieces}
        series={[rates("accepted", "bar", "quiet", (one) => one.accepted), rates("confirmed", "line", "accent", (one) => one.confirmed)]}
        word={said}
      >
        {now ? `${aMinute(now.confirmed)} confirmed a minute` : none}
      </RateCard>
      <RateCard title="Live orders a minute" figure={now && `${aMinute(now.liveOrders)}${now.isSampled ? "+" : ""}`} pieces={pieces} series={[rates("live orders", "bar", "accent", (one) => one.liveOrders)]} word={said}>
        {now ? "Orders that were confirmed as they came; no backfills" : none}
      </RateCard>
      <RateCard
        title="Time to confirmed"
        figure={day && (timed?.p50Ms ? duration(timed.p50Ms) : "–")}
        pieces={pieces}
        series={[times("for half", "accent", (one) => one.p50Ms), times("for 95 of 100", "quiet", (one) => one.p95Ms)]}
        word={(value) => duration(value * unit.ms)}
        tick={(value) => `${value.toLocaleString()} ${unit.name}`}
      >
        {!day ? none : timed?.p95Ms ? `95 of 100 within ${duration(timed.p95Ms)}; 99 within ${duration(day.p99Ms)} in the last day` : day.count > 0 ? `99 of 100 within ${duration(day.p99Ms)} in the last day` : "Nothing was confirmed in the last day"}
      </RateCard>
    </>
  );
}

const inUnits = (ms: number | null, unitMs: number) => (ms === null ? null : ms / unitMs);

interface RateCardProps {
  title: string;
  figure: string | undefined;
  pieces: readonly Piece[];
  series: readonly Series[];
  word: (value: number) => string;
  tick?: (value: number) => string;
  children: React.ReactNode;
}

function RateCard({ title, figure, pieces, series, word, tick = word, children }: RateCardProps) {
  const named = pieces.map((piece) => {
    const name = clock.format(new Date(piece.from));
    return { name, title: `${name} to ${clock.format(new Date(Date.parse(piece.from) + PIECE_MINUTES * 60_000))}` };
  });
  return (
    <section className="panel rate" aria-label={title}>
      <h2 className="muted small">{title}</h2>
      <p className="figure">{figure ?? "–"}</p>
      <Later className="chart">
        <Chart label={`${title}, ${OF_LATE}`} pieces={named} series={series} word={word} tick={tick} />
      </Later>
      <p className="muted small">{children}</p>
    </section>
  );
}
