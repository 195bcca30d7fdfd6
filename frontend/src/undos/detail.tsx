// One undo: what it would write and why, item by item; whether a person approves it; and how far it came.
import { useState } from "react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useAsk, usePages } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { Badge, words } from "../ui/badge";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { money } from "../ui/money";
import { Asked, Empty, LoadMore, Loading, Problem } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { FlowUndoApproveDocument, FlowUndoCancelDocument, FlowUndoDocument, FlowUndoItemsDocument, type FlowUndoItemsQuery, type FlowUndoQuery } from "./query.generated";
import { counts, isOver, KINDS, personIn, sends, stateInWords, type Kind, type Report } from "./words";

type Undo = NonNullable<FlowUndoQuery["flowUndo"]>;
type Item = NonNullable<FlowUndoItemsQuery["flowUndo"]>["items"]["nodes"][number];
const NO_ITEMS = { nodes: [] as Item[], pageInfo: { hasNextPage: false, endCursor: null } };
const EVERY_MS = 3_000;

export function UndoPage() {
  const { tenant, flowId, undoId } = useParams({ from: "/t/$tenant/flows/$flowId/undos/$undoId" });
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId }}>
          The flow
        </Link>
      </p>
      <Permitted isPage to="read" otherwise="Your role does not see flows" advice="Ask an owner or admin for another role.">
        <Page undoId={undoId} flowId={flowId} />
      </Permitted>
    </div>
  );
}

function Page({ undoId, flowId }: { undoId: string; flowId: string }) {
  const asked = useAsk(FlowUndoDocument, { id: undoId, flowId }, { everyMs: EVERY_MS });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the undo" />;
  const undo = asked.data.flowUndo;
  if (!undo) {
    return (
      <Empty isPage title="There is no such undo">
        <p>It is none of this tenant’s, or the address is cut off.</p>
      </Empty>
    );
  }
  return <Shown undo={undo} flow={asked.data.flow?.name ?? "a flow"} members={asked.data.members} />;
}

function Shown({ undo, flow, members }: { undo: Undo; flow: string; members: FlowUndoQuery["members"] }) {
  const may = useMay();
  const [dialog, setDialog] = useState<"approve" | "cancel" | null>(null);
  const close = () => setDialog(null);
  const report = (undo.report ?? {}) as Report;
  const mayCancel = !isOver(undo.state) && !["approved", "delivering"].includes(undo.state);
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">
            Undo of version {undo.version} of {flow}
          </h1>
          <p>
            {undo.to === "previous" ? "What stood at the destination before" : "What the version that is published makes of the same revisions"} is to stand there
            {undo.leavesCreated && "; what the version created is only told"}
            {undo.since && (
              <>
                ; only of what was confirmed from <Time at={undo.since} />
              </>
            )}
            .
          </p>
        </div>
        {may("configure") && (
          <div className="row">
            {undo.state === "prepared" && sends(report) > 0 && (
              <button type="button" className="button main-act" onClick={() => setDialog("approve")}>
                Approve
              </button>
            )}
            {mayCancel && (
              <button type="button" className="button" onClick={() => setDialog("cancel")}>
                Cancel it
              </button>
            )}
          </div>
        )}
      </div>
      <div className="grid2">
        <section className="panel stack tight">
          <div className="row apart">
            <h2>How it stands</h2>
            <Badge state={undo.state} tone={undo.state === "prepared" ? "warn" : undo.state === "delivering" ? "info" : undefined} />
          </div>
          <p>{stateInWords(undo.state, report)}</p>
          {undo.failure && <p className="note bad break">{undo.failure}</p>}
          {undo.state === "prepared" && sends(report) === 0 && <p className="note">There is nothing to write. Cancel it, so that another one can be prepared.</p>}
          <ul>
            {counts(report).map(({ kind, count }) => (
              <li key={kind}>
                <strong className="num">{count.toLocaleString()}</strong> {KINDS[kind]}
              </li>
            ))}
          </ul>
          {(report.behind ?? 0) > 0 && (
            <p className="note warn">
              {(report.behind ?? 0).toLocaleString()} would get back something older than their source says now. To correct them by the rules that run, prepare one to what the published version makes.
            </p>
          )}
          {(report.inexact ?? 0) > 0 && <p className="note warn">{(report.inexact ?? 0).toLocaleString()} cannot be made again to the letter as they were sent.</p>}
          {report.has_more && <p className="note warn">The version has more deliveries than one undo takes. Another one takes the rest, once this one is done.</p>}
          {undo.progress.deliveries.length > 0 && <p>Of what is written: {undo.progress.deliveries.map((one) => `${one.count.toLocaleString()} ${words(one.name)}`).join(", ")}.</p>}
          {undo.progress.items.some((one) => one.name === "left" && one.count > 0) && <p className="note warn">{undo.progress.items.find((one) => one.name === "left")?.count.toLocaleString()} {KINDS.left}.</p>}
          <p className="muted small">
            Prepared by {personIn(undo.startedBy, members)}, <Time at={undo.createdAt} />.
            {undo.approvedAt && (
              <>
                {" "}
                Approved by {personIn(undo.approvedBy, members)}, <Time at={undo.approvedAt} />: {undo.why}
              </>
            )}
          </p>
        </section>
        <Values report={report} />
      </div>
      <Items undo={undo} />
      {dialog === "approve" && <Approve undo={undo} count={sends(report)} close={close} />}
      {dialog === "cancel" && <Cancel undo={undo} close={close} />}
    </>
  );
}

function Values({ report }: { report: Report }) {
  const { fields = [], money: sums = [] } = report.values ?? {};
  return (
    <section className="panel stack tight">
      <h2>What would differ there</h2>
      {fields.length === 0 && <p className="muted">No field, until now.</p>}
      {sums.length > 0 && <p>Amounts by {sums.map((sum) => money(String(sum.amount), sum.currency)).join(", ")} in all.</p>}
      <ul>
        {fields.map((one) => (
          <li key={one.field} className="break">
            <code>{one.field}</code> in {one.records.toLocaleString()}
            {(one.money ?? []).map((sum) => `, ${money(String(sum.amount), sum.currency)}`)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Items({ undo }: { undo: Undo }) {
  const { tenant, flowId, undoId } = useParams({ from: "/t/$tenant/flows/$flowId/undos/$undoId" });
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/flows/$flowId/undos/$undoId" });
  const kind = search.kind && search.kind in KINDS ? search.kind : null;
  const asked = usePages(FlowUndoItemsDocument, { id: undo.id, kind }, (result) => result.flowUndo?.items ?? NO_ITEMS, { everyMs: isOver(undo.state) ? 60_000 : 5_000 });
  const [shown, setShown] = useState<Item | null>(null);
  const columns: Column<Item>[] = [
    {
      header: "Record",
      cell: ({ row: { original: one } }) => (
        <button type="button" className="link" onClick={() => setShown(one)}>
          {one.number ?? "without a number"}
        </button>
      ),
    },
    { header: "Becomes", cell: ({ row }) => <Badge tone={row.original.kind === "cannot" || row.original.kind === "open" ? "bad" : row.original.kind === "restore" || row.original.kind === "correct" ? "info" : "warn"}>{words(row.original.kind)}</Badge> },
    {
      header: "Why",
      cell: ({ row: { original: one } }) => (
        <span className="break cause">
          {one.sentence}
          {one.nextStep && <span className="muted small"> {one.nextStep}</span>}
        </span>
      ),
    },
    { header: "Stands", cell: ({ row }) => (row.original.undoingState ? <Badge state={row.original.undoingState} /> : <span className="muted">not written</span>) },
  ];
  return (
    <section className="panel flush">
      <div className="row apart">
        <h2>Item by item</h2>
        <span>
          <label className="hidden-label" htmlFor="undo-kind">
            Which
          </label>
          <select id="undo-kind" value={kind ?? ""} onChange={(event) => void navigate({ to: "/t/$tenant/flows/$flowId/undos/$undoId", params: { tenant, flowId, undoId }, search: event.target.value ? { kind: event.target.value } : {}, replace: true })}>
            <option value="">all</option>
            {(Object.keys(KINDS) as Kind[]).map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </span>
      </div>
      <Asked of={asked} what="its items">
        {asked.rows.length === 0 ? (
          <Empty title={kind ? "None is of this kind" : "Nothing was found yet"}>
            <p>{kind ? "Choose another kind above." : isOver(undo.state) || undo.state === "prepared" ? "The version did nothing here that could be taken back." : "Items appear while it is prepared."}</p>
          </Empty>
        ) : (
          <Table label="Items" columns={columns} rows={asked.rows} idOf={(one) => one.id} onSeenEnd={asked.more} />
        )}
      </Asked>
      <LoadMore of={asked} what="items" />
      {shown && <ItemDialog item={shown} tenant={tenant} close={() => setShown(null)} />}
    </section>
  );
}

function ItemDialog({ item, tenant, close }: { item: Item; tenant: string; close: () => void }) {
  return (
    <Dialog title={item.number ?? "A record without a number"} about={item.sentence} open close={close}>
      {item.nextStep && (
        <p>
          {item.nextStep} <span className="muted">Owner: {item.owner}.</span>
        </p>
      )}
      <p>
        Revision {item.revision} was sent by it{item.previousRevision != null && `, and revision ${item.previousRevision} stood there before`}.
        {item.isBehind && " The source has changed since: what would be restored is older than that."}
        {item.isExact === true && " What is made again is to the letter what was sent then."}
        {item.isExact === false && " What is made again is not to the letter what was sent then."}
      </p>
      {item.changes.length > 0 && (
        <div className="table" tabIndex={0} role="region" aria-label="Fields">
          <table>
            <thead>
              <tr>
                <th scope="col">Field</th>
                <th scope="col">Was sent</th>
                <th scope="col">Stood there before</th>
                <th scope="col">Would be sent</th>
              </tr>
            </thead>
            <tbody>
              {item.changes.map((one) => (
                <tr key={one.path}>
                  <td className="break">
                    <code>{one.path}</code>
                  </td>
                  {[one.sent, one.previous, one.will].map((value, at) => (
                    <td key={at} className="break">
                      {value ?? <span className="muted">nothing</span>}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {item.changesUntold > 0 && <p className="muted">{item.changesUntold.toLocaleString()} more fields are not shown.</p>}
      <div className="row">
        <Link className="button" to="/t/$tenant/records/$recordId" params={{ tenant, recordId: item.recordId }}>
          Open the record
        </Link>
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Approve({ undo, count, close }: { undo: Undo; count: number; close: () => void }) {
  const act = useFormAct(FlowUndoApproveDocument, (result) => result.flowUndoApprove, () => "Approved. It is written behind live work, and told here.", close);
  return (
    <FormDialog title={`Write ${count.toLocaleString()} back?`} about="They are delivered like any other, and cannot be called back once they are sent. What something came for meanwhile is left, and told." label="Approve" act={act} fields={["why"]} close={close} submit={(form) => act.run({ id: undo.id, why: String(form.get("why")).trim() })}>
      <Field label="Why" help="It stands in the audit log." wrong={act.wrong("why")}>
        {(props) => <textarea {...props} name="why" required maxLength={2_000} autoFocus />}
      </Field>
    </FormDialog>
  );
}

function Cancel({ undo, close }: { undo: Undo; close: () => void }) {
  const act = useFormAct(FlowUndoCancelDocument, (result) => result.flowUndoCancel, () => "It is cancelled. Nothing was sent.", close);
  return <FormDialog title="Cancel the undo" about="Nothing was sent, and nothing will be. Another one can be prepared." label="Cancel the undo" act={act} close={close} submit={() => act.run({ id: undo.id })} />;
}
