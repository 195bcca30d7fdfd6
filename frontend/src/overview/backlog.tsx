// What waits to be delivered, when it is done, and who may go first: a person can put what one flow has waiting before or behind everything else.
import { Link } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { useToldAct } from "../ui/act-button";
import { Time } from "../ui/time";
import { useUndo } from "../ui/undo";
import { CatchUpRankDocument, type OverviewQuery } from "./query.generated";

type CatchUp = OverviewQuery["catchUps"][number];
type Rank = NonNullable<CatchUp["rank"]>;
const RANKS: Record<Rank, string> = { FIRST: "before everything else", NORMAL: "by lane, deadline and age", LAST: "behind everything else" };

export function Backlog({ catchUps }: { catchUps: readonly CatchUp[] }) {
  const tenant = useTenant();
  return (
    <section className="panel" aria-label="Backlog">
      <h2>Backlog</h2>
      {catchUps.length === 0 ? (
        <p className="muted">Nothing waits to be delivered.</p>
      ) : (
        <ul className="stack">
          {catchUps.map((one) => (
            <li key={`${one.flowId} ${one.connection?.id}`} className="stack tight">
              <div className="row apart">
                <Link className="row-link" to="/t/$tenant/deliveries" params={{ tenant }} search={{ flow: one.flowId }}>
                  {one.flow?.name ?? one.connection?.name ?? "A flow that is gone"}
                </Link>
                <span>
                  {one.isPaused && <Badge state="paused" />} {one.overdue > 0 && <Badge tone="bad">{one.overdue.toLocaleString()} overdue</Badge>}{" "}
                  {one.willBeLate > one.overdue && <Badge tone="warn">{one.willBeLate.toLocaleString()} will be late</Badge>}
                </span>
              </div>
              <p>{one.sentence}</p>
              <p className="muted small">
                {one.finishAt && (
                  <>
                    Done by <Time at={one.finishAt} />;{" "}
                  </>
                )}
                the oldest came <Time at={one.oldestAt} as="ago" />.
              </p>
              <RankField one={one} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function RankField({ one }: { one: CatchUp }) {
  const may = useMay();
  const undo = useUndo();
  const act = useToldAct(
    CatchUpRankDocument,
    (result) => result.catchUpRank,
    (_, { rank }) => ({
      text: `What waits goes ${RANKS[rank]}. What arrives later is not touched.`,
      undo: one.rank ? undo(CatchUpRankDocument, { flowId: one.flowId, rank: one.rank }, (result) => result.catchUpRank, "It goes as it did before.") : undefined,
    }),
  );
  if (!may("work")) return null;
  return (
    <Field label={`What waits of it goes`}>
      {(props) => (
        <select {...props} value={one.rank ?? ""} disabled={act.isPending} onChange={(event) => event.target.value && act.run({ flowId: one.flowId, rank: event.target.value as Rank })}>
          {!one.rank && <option value="">each as it was decided</option>}
          {Object.entries(RANKS).map(([rank, label]) => (
            <option key={rank} value={rank}>
              {label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
