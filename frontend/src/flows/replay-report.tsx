// What a replay found, in words: counts of records, each field that would differ with an example, and why some would stop. The report is JSON of the
// API (docs/flows.md); what is missing of it, because it is still growing, is left out.
import { Link } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { money } from "../ui/money";

interface Money {
  currency: string;
  amount: string;
}
interface Example {
  record: string;
  number?: string | null;
  path: string;
  before?: string | null;
  after?: string | null;
}
export interface Report {
  records?: number;
  unchanged?: number;
  changed?: number;
  newly_failing?: number;
  newly_passing?: number;
  still_failing?: number;
  newly_taken?: number;
  newly_left?: number;
  left?: number;
  fields?: { field: string; records: number; money?: Money[]; examples?: Example[] }[];
  causes?: { reason: { sentence?: string; code?: string }; newly: number; records: number; examples?: Example[] }[];
  money?: Money[];
}

const COUNTS: [keyof Report, string][] = [
  ["unchanged", "are sent as they were"],
  ["changed", "would be sent differently"],
  ["newly_failing", "were sent, and would stop"],
  ["newly_passing", "are exceptions now, and would go"],
  ["still_failing", "are exceptions, and would stop again"],
  ["newly_taken", "the filter would take, and did not"],
  ["newly_left", "the filter would leave out, and took"],
  ["left", "the filter never took"],
];

/** The counts that are not nothing, each as a sentence. */
export function counts(report: Report): string[] {
  return COUNTS.flatMap(([key, words]) => {
    const count = report[key];
    return typeof count === "number" && count > 0 ? [`${count.toLocaleString("en")} ${words}`] : [];
  });
}

export function ReplayReport({ report: given }: { report: unknown }) {
  const report = (given ?? {}) as Report;
  const sums = report.money ?? [];
  return (
    <div className="stack tight">
      <p>Of {(report.records ?? 0).toLocaleString()} records:</p>
      <ul>
        {counts(report).map((one) => (
          <li key={one}>{one}</li>
        ))}
      </ul>
      {sums.length > 0 && <p>Amounts would differ by {sums.map((sum) => money(String(sum.amount), sum.currency)).join(", ")}.</p>}
      {(report.fields ?? []).map((one) => (
        <div key={one.field}>
          <p className="break">
            <code>{one.field}</code> in {one.records.toLocaleString()} records
            {(one.money ?? []).map((sum) => `, ${money(String(sum.amount), sum.currency)}`)}
          </p>
          <Examples examples={one.examples ?? []} />
        </div>
      ))}
      {(report.causes ?? []).map((one, index) => (
        <div key={index}>
          <p className="break">
            {one.records.toLocaleString()} would stop ({one.newly.toLocaleString()} of them went before): {one.reason.sentence ?? one.reason.code}
          </p>
          <Examples examples={one.examples ?? []} />
        </div>
      ))}
    </div>
  );
}

function Examples({ examples }: { examples: readonly Example[] }) {
  const tenant = useTenant();
  return (
    <ul className="stack tight small">
      {examples.slice(0, 3).map((one) => (
        <li key={`${one.record} ${one.path}`} className="break">
          <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: one.record }}>
            {one.number ?? one.record}
          </Link>{" "}
          {(one.before ?? one.after) != null && (
            <>
              <del>{one.before ?? "nothing"}</del> becomes <ins>{one.after ?? "nothing"}</ins>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}
