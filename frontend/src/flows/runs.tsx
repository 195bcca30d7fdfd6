// How a flow runs, as a picture of its steps with what stands in the way at each; in a chunk of its own.
import { lazy, useMemo } from "react";
import { useAsk } from "../api/hooks";
import type { FlowDrift } from "../drifts/of-flow";
import { Later } from "../ui/later";
import { Problem } from "../ui/state";
import { FlowStandingDocument, FlowTablesDocument } from "./picture.generated";
import type { FlowDetailQuery } from "./query.generated";
import { stepsOf } from "./steps";
import type { Version } from "./version";

type FlowNode = NonNullable<FlowDetailQuery["flow"]>;
const EVERY_MS = 10_000;

const FlowPicture = lazy(() => import("./picture").then((part) => ({ default: part.FlowPicture })));

export function HowItRuns({ flow, version, drifts, runs }: { flow: FlowNode; version: Version; drifts: readonly FlowDrift[]; runs: boolean }) {
  const { source, destination } = flow;
  const stands = useAsk(FlowStandingDocument, { sourceId: source?.id ?? "", destinationId: destination?.id ?? "" }, { everyMs: EVERY_MS, isWanted: Boolean(source ?? destination) });
  // Asked of a flow as if it were to be made: the API says of no version which tables it looks into. A name that is taken is no matter to it.
  const input = { name: flow.name, recordKind: flow.recordKind, sourceId: source?.id ?? "", destinationId: destination?.id ?? "", filter: version.filter ?? null, mapping: version.mapping, sourceMapping: version.sourceMapping };
  const needs = useAsk(FlowTablesDocument, { input }, { isWanted: Boolean(source && destination), isDear: true });
  const failed = [stands, needs].filter((asked) => asked.error && !asked.data);
  const backlog = stands.data?.catchUps.find((one) => one.flowId === flow.id);
  const tables = needs.data?.flowCheck.lookupTables;
  const steps = useMemo(
    () => stepsOf({ source, destination, version, openExceptions: flow.health.openExceptions, sourceStands: stands.data?.source, destinationStands: stands.data?.destination, backlog, tables, drifts }),
    [source, destination, version, flow.health.openExceptions, stands.data, backlog, tables, drifts],
  );
  return (
    <section className="panel" aria-label="How it runs">
      <h2>
        How version {version.version} {runs ? "runs" : "would run"}
      </h2>
      {/* The picture says nothing of what is not known, and would look as if nothing stood in the way. */}
      {failed[0] && <Problem error={failed[0].error} retry={() => failed.forEach((asked) => void asked.refetch())} />}
      <Later className="steps-picture">
        <FlowPicture flowId={flow.id} steps={steps} runs={runs} />
      </Later>
    </section>
  );
}
