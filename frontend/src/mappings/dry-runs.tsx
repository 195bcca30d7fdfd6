// The draft over the newest records at once: which would be sent, and why others would not. Nothing is sent.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Problem } from "../ui/state";
import type { FlowNode, Kept, Spec } from "./draft";
import { draftOf } from "./sample";
import { MappingDryRunDocument, type MappingKnownQuery } from "./query.generated";

interface DryRunsProps {
  flow: FlowNode;
  kept: Kept;
  unsaved: Spec | null;
  records: MappingKnownQuery["records"]["nodes"];
  isKept: boolean;
}

export function DryRuns({ flow, kept, unsaved, records, isKept }: DryRunsProps) {
  const tenant = useTenant();
  // Whoever may keep it waits the moment until it is kept: what is run and what is shown beside it are one then.
  const mayKeep = useMay()("configure");
  const [wanted, setWanted] = useState<string | null>(null);
  const isWanted = wanted === kept.id && records.length > 0;
  const asked = useAsk(MappingDryRunDocument, { id: flow.id, input: { version: kept.version, recordIds: records.map((one) => one.id), ...draftOf(unsaved) } }, { isWanted, isDear: true, of: kept.id });
  const runs = isWanted && !asked.isPlaceholderData ? asked.data?.flowDryRun : undefined;
  const sent = runs?.filter((run) => run.verdict === "SENT").length ?? 0;
  return (
    <section className="panel stack tight" aria-label="Dry run">
      <div className="row apart">
        <h2>Dry run</h2>
        <button type="button" className="button" disabled={records.length === 0 || (mayKeep ? !isKept : !isKept && unsaved === null) || asked.isFetching} onClick={() => (isWanted ? void asked.refetch() : setWanted(kept.id))}>
          {asked.isFetching && isWanted ? "Running…" : `Run it over the newest ${records.length} records`}
        </button>
      </div>
      <p className="muted small">Nothing is sent and nothing is written. A replay over thousands, compared with what was sent, is on the flow’s page.</p>
      {Boolean(asked.error) && isWanted && <Problem error={asked.error} />}
      {runs && (
        <div aria-live="polite">
          <p>
            <strong>
              {sent} of {runs.length} would be sent.
            </strong>
          </p>
          <ul className="stack tight">
            {runs.map((run, index) => (
              <li key={records[index]?.id ?? run.name} className="break">
                <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: records[index]?.id ?? "" }}>
                  {run.name}
                </Link>{" "}
                {run.verdict === "LEFT" && <Badge>left out by the filter</Badge>}
                {run.verdict === "SENT" && <Badge tone="good">would be sent</Badge>}
                {run.verdict === "EXCEPTION" && (
                  <>
                    <Badge tone="bad">would stop</Badge> {run.reason?.sentence}
                  </>
                )}
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
