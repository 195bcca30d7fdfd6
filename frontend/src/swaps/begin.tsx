// Begins the replacement of a flow's destination: what the other connection does not do is seen first, and nothing runs by it. And the swaps of a flow.
import { useState } from "react";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useAsk, usePages, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Empty, LoadMore, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { Gaps } from "./gaps";
import { SwapBeginDocument, SwapCandidatesDocument, SwapGapsDocument, SwapsDocument } from "./query.generated";

export function NewSwap() {
  const { tenant, flowId } = useParams({ from: "/t/$tenant/flows/$flowId/swaps/new" });
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId }}>
          The flow
        </Link>
      </p>
      <Permitted isPage to="configure" otherwise="Your role does not replace destinations" advice="Owners, admins and developers do. Ask one of them.">
        <Form flowId={flowId} />
      </Permitted>
    </div>
  );
}

function Form({ flowId }: { flowId: string }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const asked = useAsk(SwapCandidatesDocument, { flowId });
  const [candidate, setCandidate] = useState("");
  const gaps = useAsk(SwapGapsDocument, { flowId, connectionId: candidate }, { isWanted: candidate !== "" });
  const act = useFormAct(SwapBeginDocument, (result) => result.swapBegin, () => "The swap is begun. Nothing runs by it yet.", ({ swapBegin: { swap } }) => {
    if (swap) void navigate({ to: "/t/$tenant/flows/$flowId/swaps/$swapId", params: { tenant, flowId, swapId: swap.id } });
  });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the connections" />;
  const { flow, connections } = asked.data;
  if (!flow) {
    return (
      <Empty isPage title="There is no such flow">
        <p>It is none of this tenant’s, or the address is cut off.</p>
      </Empty>
    );
  }
  const others = connections.nodes.filter((one) => one.id !== flow.destination?.id);
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">Replace the destination of {flow.name}</h1>
          <p>Another account, or another vendor, takes the place of {flow.destination?.name ?? "the destination"} while orders come. Each step can be looked at and taken back, and no record is made twice by it.</p>
        </div>
      </div>
      <form
        className="panel stack"
        onSubmit={(event) => {
          event.preventDefault();
          act.run({ input: { flowId, connectionId: candidate } });
        }}
      >
        <FormErrors act={act} fields={["connectionId"]} />
        {others.length === 0 ? (
          <p>There is no other connection: connect the system that takes its place first.</p>
        ) : (
          <Field label="The candidate" help="The connection that takes its place." wrong={act.wrong("connectionId")}>
            {(props) => (
              <select {...props} value={candidate} onChange={(event) => setCandidate(event.target.value)} required style={{ maxWidth: 360 }}>
                <option value="">Choose a connection</option>
                {others.map((one) => (
                  <option key={one.id} value={one.id}>
                    {one.name} ({one.connector})
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
        <div>
          <button type="submit" className="button main-act" disabled={candidate === "" || act.isBusy}>
            {act.isBusy ? "Working…" : "Begin the swap"}
          </button>
        </div>
      </form>
      {candidate !== "" && (gaps.error && !gaps.data ? <Problem error={gaps.error} /> : gaps.data && !gaps.isPlaceholderData ? <Gaps gaps={gaps.data.swapGaps} /> : <Loading what="what would be missing" />)}
    </>
  );
}

/** The swaps of a flow; nothing is shown of one that never had any. */
export function Swaps({ flowId }: { flowId: string }) {
  const tenant = useTenant();
  const asked = usePages(SwapsDocument, { flowId }, (result) => result.swaps, { everyMs: 15_000 });
  if (asked.rows.length === 0) return null;
  return (
    <section className="panel stack tight" aria-label="Swaps">
      <h2>Swaps of the destination</h2>
      <ul className="stack tight">
        {asked.rows.map((one) => (
          <li key={one.id} className="row apart">
            <span>
              <Link to="/t/$tenant/flows/$flowId/swaps/$swapId" params={{ tenant, flowId, swapId: one.id }}>
                To {one.candidate?.name ?? "a connection that is gone"}
              </Link>
              <span className="muted small">
                {" "}
                <Time at={one.createdAt} />
              </span>
            </span>
            <Badge state={one.state}>{one.state === "cutting" ? `${one.percent} %` : one.state}</Badge>
          </li>
        ))}
      </ul>
      <LoadMore of={asked} />
    </section>
  );
}
