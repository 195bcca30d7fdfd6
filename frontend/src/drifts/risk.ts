// How much a drift may break: what may break most is read first.
const RISKS = ["high", "medium", "low"];

/** Those of one risk stay in the order they came in. */
export function byRisk<Drift extends { risk: string }>(drifts: readonly Drift[]): Drift[] {
  return [...drifts].sort((a, b) => RISKS.indexOf(a.risk) - RISKS.indexOf(b.risk));
}

export function toneOf(risk: string): "bad" | "warn" | "info" {
  return risk === "high" ? "bad" : risk === "medium" ? "warn" : "info";
}
