// Times in the person's own zone, exact on hover; ages in words that can be compared at a glance.
import { useSyncExternalStore } from "react";

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

export function Time({ at, as = "moment" }: { at: string; as?: "moment" | "clock" | "ago" }) {
  const date = new Date(at);
  return (
    <time dateTime={at} title={exact.format(date)}>
      {as === "ago" ? <Age since={at} word={ago} /> : as === "clock" ? clock.format(date) : moment.format(date)}
    </time>
  );
}

/** Ages go on by themselves, all of them at once: an answer that is the same as the one before draws no page anew. */
const TICK_MS = 10_000;
const shown = new Set<() => void>();
let ticks = 0;
let clockwork: ReturnType<typeof setInterval> | undefined;

function onTick(draw: () => void): () => void {
  shown.add(draw);
  clockwork ??= setInterval(() => {
    ticks += 1;
    for (const one of shown) one();
  }, TICK_MS);
  return () => {
    shown.delete(draw);
    if (shown.size > 0) return;
    clearInterval(clockwork);
    clockwork = undefined;
  };
}

/** How long something is there already. */
export function Age({ since, word = age }: { since: string; word?: (seconds: number) => string }) {
  useSyncExternalStore(onTick, () => ticks);
  return <>{word((Date.now() - Date.parse(since)) / 1000)}</>;
}

export function dayOf(at: string): string {
  return day.format(new Date(at));
}

/** Clocks differ by so much, and nobody's work by less. */
const NOW_S = 5;

/** just now, 45 s ago */
export function ago(seconds: number): string {
  return seconds < NOW_S ? "just now" : `${age(seconds)} ago`;
}

/** 45 s, 12 min, 3 h 20 min, 5 d */
export function age(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return days < 4 && hours % 24 > 0 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** 85 ms, 1.2 s, 3 min */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : age(ms / 1000);
}

/** A moment as an input of the person's own clock takes it, and back. */
export function toLocal(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function fromLocal(text: string): string | null {
  const at = new Date(text);
  return text === "" || Number.isNaN(at.getTime()) ? null : at.toISOString();
}
