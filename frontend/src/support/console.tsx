// The support console: the staff ask tenants to be let in, begin once they were, and go on with what runs. They do it with their own session; what is asked
// in a tenant's place goes with another token (session/impersonation.ts).
import { useId, useRef, useState, useSyncExternalStore } from "react";
import { Link, useNavigate, useRouter, useSearch } from "@tanstack/react-router";
import { useAsk } from "../api/hooks";
import { useViewer } from "../app/tenants";
import { hold, impersonation, onImpersonation } from "../session/impersonation";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, FormErrors, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { useLeave } from "./leave";
import { ImpersonationBeginDocument, SupportDeskDocument, SupportFactorDocument, SupportRequestCreateDocument, type SupportDeskQuery } from "./query.generated";
import { useResume } from "./resume";
import { overSentence, plainly, REQUEST_STATES, wayInto } from "./words";

type Request = SupportDeskQuery["supportDesk"]["requests"][number];
type Running = NonNullable<SupportDeskQuery["supportDesk"]["running"]>;
const EVERY_MS = 5_000;
/** domain/src/impersonation.rs */
const [MINUTES_MAX, REASON_MAX, TICKET_MAX] = [60, 500, 100];

export function SupportConsole() {
  const viewer = useViewer();
  const isStaff = viewer.data?.viewer?.isStaff;
  const over = useSyncExternalStore(onImpersonation, () => impersonation().over);
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Support console</h1>
          <p>See what a tenant’s people see, in its place: for a reason and a ticket, with its consent, for an hour at most. All that you ask there stands in its audit log, which you do not see.</p>
        </div>
      </div>
      {over && (
        <p className={over.why === "left" ? "note" : "note warn"} role="alert">
          {overSentence(over)} You are here with your own session.
        </p>
      )}
      {viewer.error && !viewer.data ? <Problem error={viewer.error} retry={() => void viewer.refetch()} /> : isStaff === undefined ? <Loading what="who you are" /> : isStaff ? <Desk /> : <NoStaff />}
    </div>
  );
}

function NoStaff() {
  return (
    <div className="panel">
      <Empty title="This is for the staff of the installation">
        <p>
          Whoever runs it says who is staff, beside its database: <code>crossdock user staff-grant --email you@example.com</code>
        </p>
        <Link className="button" to="/">
          To your tenants
        </Link>
      </Empty>
    </div>
  );
}

function Desk() {
  const desk = useAsk(SupportDeskDocument, {}, { everyMs: EVERY_MS });
  const factor = useAsk(SupportFactorDocument, {});
  if (desk.error && !desk.data) return <Problem error={desk.error} retry={() => void desk.refetch()} />;
  if (factor.error && !factor.data) return <Problem error={factor.error} retry={() => void factor.refetch()} />;
  if (!desk.data || !factor.data) return <Loading what="your desk" />;
  const { requests, running } = desk.data.supportDesk;
  const hasFactor = factor.data.account?.secondFactor != null;
  return (
    <>
      {!hasFactor && (
        <div className="note warn row apart" role="status">
          <p>
            <strong>Set up a second factor first.</strong> Without one nobody of the staff asks a tenant or looks at it.
          </p>
          <Link className="button main-act" to="/account">
            Set it up in your account
          </Link>
        </div>
      )}
      {running && <RunningOne running={running} />}
      {hasFactor && <Ask isRunning={Boolean(running)} />}
      <Requests requests={[...requests]} mayBegin={hasFactor && !running} />
    </>
  );
}

function RunningOne({ running }: { running: Running }) {
  const { resume, isResuming } = useResume();
  const { leave, isLeaving } = useLeave();
  return (
    <section className="panel stack tight" aria-labelledby="running">
      <div className="row">
        <h2 id="running">Running: {running.tenant}</h2> <Badge tone={running.mayWrite ? "bad" : "warn"}>{running.mayWrite ? "with writes" : "read only"}</Badge>
      </div>
      <p className="break">“{running.reason}”</p>
      <p className="muted small break">
        Ticket {running.ticket}. It ends <Time at={running.endsAt} />, and nobody makes it longer. One of yours runs at a time.
      </p>
      <div className="row">
        <button type="button" className="button main-act" disabled={isResuming} onClick={() => resume(running)}>
          Go on in its place
        </button>
        <button type="button" className="button" disabled={isLeaving} onClick={() => leave(running)}>
          Leave its place
        </button>
      </div>
    </section>
  );
}

function useBegin(to: string | undefined, close?: () => void) {
  const router = useRouter();
  return useFormAct(
    ImpersonationBeginDocument,
    (result) => plainly(result.impersonationBegin),
    () => null,
    ({ impersonationBegin: { impersonation: begun, accessToken } }) => {
      if (begun && accessToken) {
        hold(begun, accessToken);
        void router.navigate({ href: wayInto(to, begun.tenantSlug) });
      }
      close?.();
    },
  );
}

/** What is asked for and what is begun are said in the same words, so they are one form with two acts. */
function Ask({ isRunning }: { isRunning: boolean }) {
  const search = useSearch({ from: "/own/support" });
  const navigate = useNavigate();
  const form = useRef<HTMLFormElement>(null);
  const [last, setLast] = useState<"ask" | "begin">("ask");
  const asking = useFormAct(
    SupportRequestCreateDocument,
    (result) => plainly(result.supportRequestCreate),
    (result) => `${result.supportRequestCreate.supportRequest?.tenant ?? "The tenant"} is asked. Its answer appears below.`,
    () => {
      form.current?.reset();
      void navigate({ to: "/support", search: {}, replace: true });
    },
  );
  const beginning = useBegin(search.to);
  const act = last === "ask" ? asking : beginning;
  const submit = (given: FormData, isBegin: boolean) => {
    const said = (key: string) => String(given.get(key) ?? "").trim();
    const input = { tenant: said("tenant"), reason: said("reason"), ticket: said("ticket"), mayWrite: given.get("mayWrite") === "on" };
    setLast(isBegin ? "begin" : "ask");
    if (isBegin) beginning.run({ input: { ...input, minutes: Number(said("minutes")) } });
    else asking.run({ input });
  };
  return (
    <form
      ref={form}
      className="panel stack"
      aria-labelledby="ask"
      onSubmit={(event) => {
        event.preventDefault();
        const { submitter } = event.nativeEvent as SubmitEvent;
        submit(new FormData(event.currentTarget), submitter instanceof HTMLButtonElement && submitter.value === "begin");
      }}
    >
      <h2 id="ask">A tenant</h2>
      <FormErrors act={act} fields={["tenant", "reason", "ticket", "mayWrite", "minutes"]} />
      <div className="halves">
        <Field label="Tenant" help="Its slug, as its address has it (/t/…), or its id." wrong={act.wrong("tenant")}>
          {(props) => <input {...props} name="tenant" required autoComplete="off" spellCheck={false} defaultValue={search.tenant} />}
        </Field>
        <Field label="Ticket" help="As your help desk knows it." wrong={act.wrong("ticket")}>
          {(props) => <input {...props} name="ticket" required maxLength={TICKET_MAX} autoComplete="off" defaultValue={search.ticket} />}
        </Field>
      </div>
      <Field label="Reason" help="The tenant reads it, and it stays in its audit log." wrong={act.wrong("reason")}>
        {(props) => <textarea {...props} name="reason" required maxLength={REASON_MAX} defaultValue={search.reason} placeholder="Orders of yesterday are missing in the ERP" />}
      </Field>
      <div className="halves">
        <Writes help="Only where you have to change what an operator may: exceptions, entries of lookup tables." wrong={act.wrong("mayWrite")} />
        <Minutes wrong={act.wrong("minutes")} />
      </div>
      <div className="row">
        <button type="submit" className="button main-act" value="ask" disabled={act.isBusy}>
          Ask the tenant
        </button>
        <button type="submit" className="button" value="begin" disabled={act.isBusy || isRunning}>
          Begin now
        </button>
      </div>
      <p className="muted small">
        {isRunning ? "Leave what runs before you begin another one. " : "Begin now where the tenant lets support in at any time. "}
        Whom you ask has 24 hours to answer, and you have 24 hours after a yes.
      </p>
    </form>
  );
}

function Writes({ help, wrong }: { help: string; wrong: string | null }) {
  const id = useId();
  return (
    <div className="field">
      <label className="row">
        <input name="mayWrite" type="checkbox" aria-describedby={wrong ? `${id}-help ${id}-wrong` : `${id}-help`} aria-invalid={Boolean(wrong)} />
        With writes
      </label>
      <span className="help" id={`${id}-help`}>
        {help}
      </span>
      {wrong && (
        <span className="wrong" id={`${id}-wrong`} role="alert">
          {wrong}
        </span>
      )}
    </div>
  );
}

function Minutes({ wrong }: { wrong: string | null }) {
  return (
    <Field label="Minutes" help={`1 to ${MINUTES_MAX}; nobody makes it longer.`} wrong={wrong}>
      {(props) => <input {...props} name="minutes" type="number" min={1} max={MINUTES_MAX} step={1} defaultValue={MINUTES_MAX} required style={{ maxWidth: 120 }} />}
    </Field>
  );
}

function Requests({ requests, mayBegin }: { requests: Request[]; mayBegin: boolean }) {
  const [chosen, setChosen] = useState<Request | null>(null);
  const columns: Column<Request>[] = [
    {
      header: "Tenant",
      accessorKey: "tenant",
      cell: ({ row: { original: one } }) => (
        <span className="break who">
          {one.tenant}
          <br />
          <code className="muted">{one.tenantSlug}</code>
        </span>
      ),
    },
    {
      header: "Why",
      accessorKey: "reason",
      cell: ({ row: { original: one } }) => (
        <span className="break who">
          {one.reason}
          <br />
          <span className="muted small">
            ticket {one.ticket}
            {one.wantsWrite && ", with writes"}
          </span>
        </span>
      ),
    },
    { header: "Asked", accessorKey: "askedAt", cell: ({ row }) => <span className="nowrap"><Time at={row.original.askedAt} /></span> },
    {
      header: "How it stands",
      accessorKey: "state",
      cell: ({ row: { original: one } }) => {
        const { said, tone } = REQUEST_STATES[one.state];
        const until = one.state === "WAITING" ? one.expiresAt : one.state === "ALLOWED" ? one.useUntil : null;
        return (
          <>
            <Badge tone={tone}>{said}</Badge> {one.state === "ALLOWED" && <Badge tone={one.mayWrite ? "bad" : "info"}>{one.mayWrite ? "with writes" : "read only"}</Badge>}
            {until ? (
              <>
                <br />
                <span className="muted small nowrap">
                  until <Time at={until} />
                </span>
              </>
            ) : (
              one.answeredAt && (
                <>
                  <br />
                  <span className="muted small nowrap">
                    answered <Time at={one.answeredAt} />
                  </span>
                </>
              )
            )}
          </>
        );
      },
    },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: one } }) =>
        one.state === "ALLOWED" &&
        mayBegin && (
          <button type="button" className="button main-act" aria-label={`Begin: ${one.tenant}, ${one.ticket}`} onClick={() => setChosen(one)}>
            Begin
          </button>
        ),
    },
  ];
  return (
    <section className="panel flush" aria-labelledby="asked">
      <div className="row">
        <h2 id="asked">What you asked</h2>
      </div>
      {requests.length === 0 ? (
        <Empty title="You have asked no tenant yet">
          <p>When you ask one, its owners and admins are told, and say yes or no under Settings, Support. Their answer appears here. A yes is for you, once: you begin it from here.</p>
        </Empty>
      ) : (
        <Table label="Your requests" columns={columns} rows={requests} idOf={(one) => one.id} />
      )}
      {chosen && <Begin request={chosen} close={() => setChosen(null)} />}
    </section>
  );
}

function Begin({ request, close }: { request: Request; close: () => void }) {
  const search = useSearch({ from: "/own/support" });
  const act = useBegin(search.to, close);
  const { tenantSlug: tenant, reason, ticket } = request;
  return (
    <FormDialog
      title={`In the place of ${request.tenant}`}
      about={`For “${reason}”, ticket ${ticket}. The yes is used up by it. Its owners and admins are told.`}
      label="Begin"
      act={act}
      fields={["minutes", "mayWrite"]}
      close={close}
      submit={(form) => act.run({ input: { tenant, reason, ticket, minutes: Number(form.get("minutes")), mayWrite: form.get("mayWrite") === "on" } })}
    >
      <Minutes wrong={act.wrong("minutes")} />
      {request.mayWrite && <Writes help="The tenant allows it. Leave it out where looking is enough." wrong={act.wrong("mayWrite")} />}
    </FormDialog>
  );
}
