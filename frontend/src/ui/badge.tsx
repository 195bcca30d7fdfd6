// A state in its own word, coloured by what it means for the person who looks. Colour is never alone: the word is always there.
export type Tone = "good" | "warn" | "bad" | "info";

const TONES: Record<string, Tone> = {
  confirmed: "good", reconciled: "good", healthy: "good", HEALTHY: "good", published: "good", active: "good", ACTIVE: "good", mapped: "good",
  stored: "good", STEADY: "good", resolved: "good", done: "good", proven: "good",
  waiting: "warn", held: "warn", unknown: "warn", UNPROVEN: "warn", paused: "warn", review: "warn", silent: "warn", expiring: "warn", EXPIRY: "warn", PROBE: "bad", ROTATION: "warn", BLOCKED: "warn", WANTED: "warn",
  exception: "bad", refused: "bad", failing: "bad", UNHEALTHY: "bad", failed: "bad", FAILED: "bad", SILENT: "bad", SURGING: "warn", open: "bad",
};

export function Badge({ state, tone, children }: { state?: string; tone?: Tone | undefined; children?: React.ReactNode }) {
  const colour = tone ?? toneOf(state ?? "");
  return <span className={`badge ${colour}`}>{children ?? words(state ?? "")}</span>;
}

/** NOT_FOUND and inventory_level as people write them. */
export function words(state: string): string {
  return state.replaceAll("_", " ").toLowerCase();
}

/** How a state is coloured. */
export function toneOf(state: string): Tone {
  return TONES[state] ?? "info";
}
