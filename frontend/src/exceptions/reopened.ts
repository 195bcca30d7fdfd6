// What is said of an act that opened ignored exceptions again: how many, and how many stay ignored for which reason.
import { many } from "./progress";

interface Reopened {
  count: number;
  hasMore: boolean;
  stay: readonly { code: string; count: number; why: string }[];
}

/** Of several requests that were one act. */
export function reopened(payloads: readonly Reopened[]): string {
  const count = payloads.reduce((sum, one) => sum + one.count, 0);
  const staying = new Map<string, { count: number; why: string }>();
  for (const { code, count: more, why } of payloads.flatMap(({ stay }) => stay)) {
    staying.set(code, { count: (staying.get(code)?.count ?? 0) + more, why });
  }
  const said = [count === 0 ? "Nothing was opened again." : `${many(count)} ${count === 1 ? "is" : "are"} open again.`];
  for (const { count: left, why } of staying.values()) said.push(`${left.toLocaleString()} ${left === 1 ? "stays" : "stay"} ignored: ${why}`);
  if (payloads.some(({ hasMore }) => hasMore)) said.push("More can be opened again: do it again for them.");
  return said.join(" ");
}
