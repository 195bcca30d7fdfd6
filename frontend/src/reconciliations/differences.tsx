// The differences of a reconciliation, as many as there are, and what a person decides about those that are chosen: send ours again, or take it as it is.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge, words } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, LoadMore, Loading, Problem } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { DifferenceAcceptDocument, DifferenceResendDocument, DifferencesDocument, type DifferencesQuery } from "./query.generated";
import { KINDS } from "./report";

type Row = DifferencesQuery["differences"]["nodes"][number];
/** The most that one act takes. */
const CHOSEN_MAX = 1_000;

export function useDifferences(reconciliationId: string, kind: string | undefined) {
  const filter = { reconciliationId, ...(kind ? { kind } : {}) };
  return usePages(DifferencesDocument, { filter }, (result) => result.differences, { everyMs: 4_000 });
}

export function Differences({ asked, state }: { asked: ReturnType<typeof useDifferences>; state: string }) {
  const tenant = useTenant();
  const may = useMay();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [act, setAct] = useState<"resend" | "accept" | null>(null);
  const open = asked.rows.filter((row) => row.state === "open" && KINDS[row.kind]?.isDecided);
  const ids = open.filter((row) => chosen.has(row.id)).map((row) => row.id).slice(0, CHOSEN_MAX);
  const turn = (id: string) =>
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  const done = () => {
    setChosen(new Set());
    setAct(null);
  };
  const columns: Column<Row>[] = [
    {
      id: "choose",
      header: () => <span className="hidden-label">Chosen</span>,
      cell: ({ row: { original: row } }) =>
        row.state === "open" && KINDS[row.kind]?.isDecided && may("work") ? <input type="checkbox" aria-label={`Choose ${row.sourceId ?? row.destinationId ?? row.id}`} checked={chosen.has(row.id)} onChange={() => turn(row.id)} /> : null,
    },
    {
      header: "What",
      accessorKey: "kind",
      cell: ({ row: { original: row } }) => (
        <>
          <strong>{words(row.kind)}</strong> <Badge state={row.state} />
          <p className="muted small">{KINDS[row.kind]?.means}</p>
        </>
      ),
    },
    {
      header: "At the source",
      accessorFn: (row) => row.sourceId ?? "",
      cell: ({ row: { original: row } }) =>
        row.recordId ? (
          <Link className="break" to="/t/$tenant/records/$recordId" params={{ tenant, recordId: row.recordId }}>
            {row.sourceId ?? "the record"}
          </Link>
        ) : (
          <span className="break">{row.sourceId ?? <span className="muted">–</span>}</span>
        ),
    },
    { header: "At the destination", accessorFn: (row) => row.destinationId ?? "", cell: ({ row }) => <span className="break">{row.original.destinationId ?? <span className="muted">–</span>}</span> },
    {
      header: "Fields: what is there, and ours",
      cell: ({ row: { original: row } }) => (
        <>
          {row.fields.map((field) => (
            <p key={field.path} className="break">
              <code>{field.path}</code> <del>{field.theirs ?? "nothing"}</del> should be <ins>{field.ours ?? "nothing"}</ins>
            </p>
          ))}
          {row.note && <p className="muted small break">{row.note}</p>}
        </>
      ),
    },
    { header: "Since", accessorKey: "openedAt", cell: ({ row }) => <span className="nowrap"><Time at={row.original.openedAt} as="ago" /></span> },
  ];
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (asked.isPending) return <Loading what="differences" />;
  return (
    <>
      {open.length > 0 && may("work") && (
        <div className="row actbar" role="toolbar" aria-label="Acts">
          <strong>{ids.length > 0 ? `${ids.length.toLocaleString()} chosen` : `${open.length.toLocaleString()} ${open.length === 1 ? "waits" : "wait"} for your decision`}</strong>
          <button type="button" className="button" onClick={() => setChosen(new Set(open.slice(0, CHOSEN_MAX).map((row) => row.id)))}>
            Choose all that are shown
          </button>
          <button type="button" className="button" disabled={ids.length === 0} onClick={() => setAct("resend")}>
            Send ours again
          </button>
          <button type="button" className="button" disabled={ids.length === 0} onClick={() => setAct("accept")}>
            Take it as it is
          </button>
        </div>
      )}
      <section className="panel flush">
        {asked.rows.length === 0 ? (
          <Empty title={state === "done" ? "No difference was found" : state === "failed" ? "It could not be compared" : "No difference until now"}>
            <p>
              {state === "done"
                ? "What this comparison could read says the same on both sides."
                : state === "failed"
                  ? "So nothing is known of this time. Mend what is said above, then compare it again."
                  : "Differences appear here while both sides are read."}
            </p>
          </Empty>
        ) : (
          <Table label="Differences" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
        )}
        <LoadMore of={asked} />
      </section>
      {act === "resend" && <ResendDialog ids={ids} close={() => setAct(null)} done={done} />}
      {act === "accept" && <AcceptDialog ids={ids} close={() => setAct(null)} done={done} />}
    </>
  );
}

interface ActProps {
  ids: string[];
  close: () => void;
  done: () => void;
}

function ResendDialog({ ids, close, done }: ActProps) {
  const act = useFormAct(DifferenceResendDocument, (result) => result.differenceResend, ({ differenceResend: { count } }) => `${count.toLocaleString()} are sent again, within the destination’s limits.`, done);
  return <FormDialog title={`Send ${ids.length.toLocaleString()} again`} about="What is gone at the destination is created anew, what differs is written over." label="Send again" act={act} close={close} meanwhile={`Planning ${ids.length.toLocaleString()} anew.`} submit={() => act.run({ ids })} />;
}

function AcceptDialog({ ids, close, done }: ActProps) {
  const act = useFormAct(DifferenceAcceptDocument, (result) => result.differenceAccept, ({ differenceAccept: { count } }) => `${count.toLocaleString()} are taken as they are.`, done);
  return (
    <FormDialog title={`Take ${ids.length.toLocaleString()} as they are`} about="The same mismatch is not raised again." label="Take it as it is" act={act} fields={["reason"]} close={close} submit={(form) => act.run({ ids, reason: String(form.get("reason")) })}>
      <Field label="Why" help="Kept in the audit log, with your name." wrong={act.wrong("reason")}>
        {(props) => <input {...props} name="reason" required maxLength={500} autoFocus />}
      </Field>
    </FormDialog>
  );
}
