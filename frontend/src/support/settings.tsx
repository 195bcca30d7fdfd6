// Support, as the tenant has it: whether it may come in at any time, who asks and is answered, and who was in the tenant's place and for what. Owners and
// admins decide; who reads the audit log reads this.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { fromLocal, Time, toLocal } from "../ui/time";
import {
  ImpersonationEndDocument,
  ImpersonationsDocument,
  SupportConsentGiveDocument,
  SupportConsentsDocument,
  SupportConsentWithdrawDocument,
  SupportMembersDocument,
  SupportPersonalDataDocument,
  SupportPersonalDataSetDocument,
  SupportRequestAnswerDocument,
  SupportRequestsDocument,
  type ImpersonationsQuery,
  type SupportConsentsQuery,
  type SupportRequestsQuery,
} from "./query.generated";
import { InNow } from "./in-now";
import { called, CONSENT_ENDS, ENDS, plainly, REQUEST_STATES } from "./words";

type Request = SupportRequestsQuery["supportRequests"][number];
type Impersonation = ImpersonationsQuery["impersonations"][number];
const EVERY_MS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;

export function SupportSettings() {
  return (
    <Permitted to="audit" otherwise="Your role does not see what support does here" advice="Owners and admins let support in; they and auditors see what it did. Ask one of them.">
      <Parts />
    </Permitted>
  );
}

/** All of them at once: each that came by itself would push away what stands below it. */
function Parts() {
  const asked = [
    useAsk(SupportConsentsDocument, {}, { everyMs: EVERY_MS }),
    useAsk(SupportPersonalDataDocument, {}, { everyMs: EVERY_MS }),
    useAsk(SupportRequestsDocument, {}, { everyMs: EVERY_MS }),
    useAsk(ImpersonationsDocument, {}, { everyMs: EVERY_MS, isDear: true }),
    useAsk(SupportMembersDocument, {}),
  ];
  if (asked.some((one) => one.isPending)) return <Loading what="what support may and does" />;
  return (
    <>
      <InNow />
      <Consent />
      <PersonalData />
      <Requests />
      <Impersonations />
    </>
  );
}

/** The name of a member, where they are one still. */
function useNames(): (userId: string) => string {
  const members = useAsk(SupportMembersDocument, {}).data?.members;
  return (userId) => {
    const member = members?.find((one) => one.userId === userId);
    return member ? called(member) : members ? "somebody who left" : "…";
  };
}

/** Whether support sees who bought, or dots in the place of names, addresses and telephones. */
function PersonalData() {
  const may = useMay();
  const asked = useAsk(SupportPersonalDataDocument, {}, { everyMs: EVERY_MS });
  const isShown = asked.data?.supportSeesPersonalData;
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (isShown === undefined) return <Loading what="what support sees" />;
  return (
    <section className="panel stack tight" aria-labelledby="personal-data">
      <div className="row">
        <h2 id="personal-data">Names, addresses and telephones</h2>
        {isShown ? <Badge tone="warn">shown to support</Badge> : <Badge>hidden from support</Badge>}
      </div>
      <p>Whoever is in your place sees {isShown ? "what tells of your buyers in records and payloads." : "dots where records and payloads tell of your buyers."}</p>
      {may("support") && (
        <span className="row">
          <ActButton
            document={SupportPersonalDataSetDocument}
            values={{ isShown: !isShown }}
            payloadOf={(result) => result.supportPersonalDataSet}
            label={isShown ? "Hide them" : "Show them"}
            done={isShown ? "They are hidden from support from its next request on." : "Support sees them from its next request on."}
          />
        </span>
      )}
    </section>
  );
}

/** The one that stands for all of the staff. */
function Consent() {
  const may = useMay();
  const nameOf = useNames();
  const asked = useAsk(SupportConsentsDocument, {}, { everyMs: EVERY_MS });
  const [isOpen, setOpen] = useState(false);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="what support may" />;
  const standing = asked.data.supportConsents.find((one) => one.requestId == null && one.state === "ACTIVE");
  const before = asked.data.supportConsents.filter((one) => one.requestId == null && one.state !== "ACTIVE");
  const change = (label: string) => (
    <button type="button" className="button" onClick={() => setOpen(true)}>
      {label}
    </button>
  );
  return (
    <section className="panel stack tight" aria-labelledby="consent">
      <div className="row">
        <h2 id="consent">At any time</h2>
        {standing ? <Badge tone={standing.mayWrite ? "bad" : "warn"}>{standing.mayWrite ? "let in, with writes" : "let in, read only"}</Badge> : <Badge>not let in</Badge>}
      </div>
      {standing ? (
        <>
          <p>
            All of the staff may come in without asking,{" "}
            {standing.until ? (
              <>
                until <Time at={standing.until} />
              </>
            ) : (
              "until it is taken back"
            )}
            : each for a reason that they say, and for an hour at most. {standing.mayWrite ? "They may change what an operator may." : "They read, and change nothing."}
          </p>
          <p className="muted small">
            Given by {nameOf(standing.givenBy)}, <Time at={standing.givenAt} />.
          </p>
          {may("support") && (
            <div className="row">
              <ActButton
                document={SupportConsentWithdrawDocument}
                values={{ id: standing.id }}
                payloadOf={(act) => plainly(act.supportConsentWithdraw)}
                label="Take it back"
                name="Take it back: the consent"
                done="It is taken back. What support had begun by it has ended."
              />
              {change("Change it")}
            </div>
          )}
        </>
      ) : (
        <>
          <p className="muted">
            Support is staff of this installation. They see nothing of yours unless you let them: here for all of them and for as long as you say, or below, one request at a time.
            They read what an operator reads, never a secret, and all that they ask stands in your audit log.
          </p>
          {may("support") && <div>{change("Let support in at any time")}</div>}
        </>
      )}
      {!may("support") && <p className="muted small">Owners and admins decide.</p>}
      {before.length > 0 && <Before consents={before} nameOf={nameOf} />}
      {isOpen && <Give before={standing ?? null} close={() => setOpen(false)} />}
    </section>
  );
}

/** What stood for all of the staff until it was over. */
function Before({ consents, nameOf }: { consents: readonly SupportConsentsQuery["supportConsents"][number][]; nameOf: (userId: string) => string }) {
  return (
    <details className="small">
      <summary>{consents.length === 1 ? "Support was let in once before" : `Support was let in ${consents.length} times before`}</summary>
      <ul className="stack tight padded-top">
        {consents.map((one) => (
          <li key={one.id}>
            <Time at={one.givenAt} /> to {one.endedAt ?? one.until ? <Time at={one.endedAt ?? one.until ?? ""} /> : "its end"}, {one.mayWrite ? "with writes" : "read only"}: given by {nameOf(one.givenBy)},{" "}
            {one.state !== "ACTIVE" && CONSENT_ENDS[one.state]}
            {one.endedBy && ` by ${nameOf(one.endedBy)}`}.
          </li>
        ))}
      </ul>
    </details>
  );
}

function Give({ before, close }: { before: SupportConsentsQuery["supportConsents"][number] | null; close: () => void }) {
  const [isOpenEnded, setOpenEnded] = useState(before !== null && before.until == null);
  const [first] = useState(() => ({ least: toLocal(new Date()), until: toLocal(before?.until ? new Date(before.until) : new Date(Date.now() + 7 * DAY_MS)) }));
  const act = useFormAct(SupportConsentGiveDocument, (result) => plainly(result.supportConsentGive), () => "Support is let in, and that you said so stands in the audit log.", close);
  return (
    <FormDialog
      title="Let support in at any time"
      about={before ? "It takes the place of the consent that stands now, and what support has begun by that ends." : "For all of the staff, each for a reason that they say and for an hour at most. Owners and admins are told by mail when one begins."}
      label="Let them in"
      act={act}
      fields={["until"]}
      close={close}
      submit={(form) => act.run({ mayWrite: form.get("mayWrite") === "writes", until: isOpenEnded ? null : fromLocal(String(form.get("until"))) })}
    >
      <Field label="They may" help="Writes are retry, ignore, edit and assign of exceptions, and entries of lookup tables. Nothing else in either case.">
        {(props) => (
          <select {...props} name="mayWrite" defaultValue={before?.mayWrite ? "writes" : "read"}>
            <option value="read">read what an operator reads</option>
            <option value="writes">read, and write what an operator writes</option>
          </select>
        )}
      </Field>
      <label className="row">
        <input type="checkbox" checked={isOpenEnded} onChange={(event) => setOpenEnded(event.target.checked)} />
        Until it is taken back
      </label>
      {!isOpenEnded && (
        <Field label="Until" help="Your own time." wrong={act.wrong("until")}>
          {(props) => <input {...props} name="until" type="datetime-local" min={first.least} defaultValue={first.until} required style={{ maxWidth: 240 }} />}
        </Field>
      )}
    </FormDialog>
  );
}

function Requests() {
  const may = useMay();
  const nameOf = useNames();
  const asked = useAsk(SupportRequestsDocument, {}, { everyMs: EVERY_MS });
  const [hasAll, setAll] = useState(false);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="what support asks" />;
  const all = asked.data.supportRequests;
  const waiting = all.filter((one) => one.state === "WAITING");
  const rows = all.filter((one) => one.state !== "WAITING" && (hasAll || one.state === "ALLOWED"));
  const hasOver = all.some((one) => one.state !== "WAITING" && one.state !== "ALLOWED");
  return (
    <section className="panel flush" aria-labelledby="requests">
      <div className="row apart">
        <h2 id="requests">Requests</h2>
        {hasOver && (
          <label className="row">
            <input type="checkbox" checked={hasAll} onChange={(event) => setAll(event.target.checked)} />
            Also those that are over
          </label>
        )}
      </div>
      {waiting.map((one) => (
        <Waiting key={one.id} request={one} mayAnswer={may("support")} />
      ))}
      {waiting.length === 0 && rows.length === 0 && (
        <Empty title="Nobody of support asks to come in">
          <p>When somebody of the staff has to see what you see, they ask here, with a reason and a ticket. A yes is for that person, once and within 24 hours.</p>
        </Empty>
      )}
      {rows.length > 0 && <Table label="Requests that were answered or are over" columns={columnsOf(nameOf, may("support"))} rows={rows} idOf={(one) => one.id} />}
    </section>
  );
}

function Waiting({ request, mayAnswer }: { request: Request; mayAnswer: boolean }) {
  const who = called(request.staff);
  const answer = (isAllowed: boolean, mayWrite: boolean, label: string, done: string, isMain = false) => (
    <ActButton
      document={SupportRequestAnswerDocument}
      values={{ id: request.id, isAllowed, mayWrite }}
      payloadOf={(act) => plainly(act.supportRequestAnswer)}
      label={label}
      name={`${label}: ${who}, ${request.ticket}`}
      done={done}
      isMain={isMain}
    />
  );
  return (
    <article className="padded above stack tight" aria-label={`The request of ${who}`}>
      <p className="row">
        <strong className="break">{who}</strong> asks to come in <Badge tone={request.wantsWrite ? "bad" : "warn"}>{request.wantsWrite ? "with writes" : "read only"}</Badge>
      </p>
      <p className="break">“{request.reason}”</p>
      <p className="muted small break">
        Ticket {request.ticket}, {request.staff.email}, asked <Time at={request.askedAt} />. It waits until <Time at={request.expiresAt} />.
      </p>
      {mayAnswer ? (
        <div className="row">
          {answer(true, false, "Yes, read only", `${who} may come in once, within 24 hours, and changes nothing.`, true)}
          {request.wantsWrite && answer(true, true, "Yes, with writes", `${who} may come in once, within 24 hours, and change what an operator may.`)}
          {answer(false, false, "No", `${who} is not let in.`)}
        </div>
      ) : (
        <p className="muted small">Owners and admins answer.</p>
      )}
    </article>
  );
}

function columnsOf(nameOf: (userId: string) => string, mayAct: boolean): Column<Request>[] {
  return [
    { header: "Who", accessorFn: (one) => called(one.staff), cell: ({ row: { original: one } }) => <Person {...one.staff} /> },
    { header: "Why", accessorKey: "reason", cell: ({ row: { original: one } }) => <Reason {...one} /> },
    {
      header: "How it stands",
      accessorKey: "state",
      cell: ({ row: { original: one } }) => {
        const { said, tone } = REQUEST_STATES[one.state];
        return (
          <>
            <Badge tone={tone}>{said}</Badge> {one.mayWrite != null && <Badge tone={one.mayWrite ? "bad" : "info"}>{one.mayWrite ? "with writes" : "read only"}</Badge>}
            <br />
            <span className="muted small">
              {one.state === "ALLOWED" && one.useUntil ? (
                <>
                  to be begun until <Time at={one.useUntil} />
                </>
              ) : (
                one.answeredBy && one.answeredAt && (
                  <>
                    answered by {nameOf(one.answeredBy)}, <Time at={one.answeredAt} />
                  </>
                )
              )}
            </span>
          </>
        );
      },
    },
    { header: "Asked", accessorKey: "askedAt", cell: ({ row }) => <span className="nowrap"><Time at={row.original.askedAt} /></span> },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: one } }) =>
        mayAct &&
        one.state === "ALLOWED" &&
        one.consentId && (
          <ActButton
            document={SupportConsentWithdrawDocument}
            values={{ id: one.consentId }}
            payloadOf={(act) => plainly(act.supportConsentWithdraw)}
            label="Take the yes back"
            name={`Take the yes back: ${called(one.staff)}, ${one.ticket}`}
            done={`${called(one.staff)} is not let in any more.`}
          />
        ),
    },
  ];
}

function Person({ name, email }: { name: string; email: string }) {
  return (
    <span className="break who">
      {name || email}
      {name && (
        <>
          <br />
          <span className="muted small">{email}</span>
        </>
      )}
    </span>
  );
}

function Reason({ reason, ticket }: { reason: string; ticket: string }) {
  return (
    <span className="break who">
      {reason}
      <br />
      <span className="muted small">ticket {ticket}</span>
    </span>
  );
}

function Impersonations() {
  const may = useMay();
  const nameOf = useNames();
  const tenant = useTenant();
  const asked = useAsk(ImpersonationsDocument, {}, { everyMs: EVERY_MS, isDear: true });
  const consents = useAsk(SupportConsentsDocument, {}, { everyMs: EVERY_MS }).data?.supportConsents;
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="who was in your place" />;
  const restsOn = (id: string) => {
    const consent = consents?.find((one) => one.id === id);
    return consent && `${consent.requestId == null ? "by the consent for all of the staff, of" : "by the yes of"} ${nameOf(consent.givenBy)}`;
  };
  const rows = [...asked.data.impersonations];
  const columns: Column<Impersonation>[] = [
    { header: "Who", accessorFn: (one) => called(one.staff), cell: ({ row: { original: one } }) => <Person {...one.staff} /> },
    { header: "Why", accessorKey: "reason", cell: ({ row: { original: one } }) => <Reason {...one} /> },
    {
      header: "When",
      accessorKey: "beganAt",
      cell: ({ row: { original: one } }) => (
        <>
          <span className="nowrap">
            <Badge tone={one.state === "RUNNING" ? "bad" : "info"}>{one.state === "RUNNING" ? "in now" : "over"}</Badge> <Time at={one.beganAt} />
          </span>
          <br />
          <span className="muted small">
            {one.state === "RUNNING" ? (
              <>
                until <Time at={one.endsAt} /> at the latest
              </>
            ) : (
              <>
                until <Time at={one.endedAt ?? one.endsAt} />
                {one.endedWhy && `: ${ENDS[one.endedWhy]}`}
                {one.endedBy && one.endedWhy === "TENANT" && `, by ${nameOf(one.endedBy)}`}
              </>
            )}
          </span>
        </>
      ),
    },
    {
      header: "Allowed",
      accessorKey: "mayWrite",
      cell: ({ row: { original: one } }) => (
        <>
          <Badge tone={one.mayWrite ? "bad" : "info"}>{one.mayWrite ? "with writes" : "read only"}</Badge>
          <br />
          <span className="muted small">{restsOn(one.consentId)}</span>
        </>
      ),
    },
    {
      header: "What they did",
      accessorKey: "eventCount",
      cell: ({ row: { original: one } }) => (
        <>
          <Link to="/t/$tenant/audit" params={{ tenant }} search={{ q: one.id, as: "actor" }} aria-label={`${one.eventCount.toLocaleString()} events in the audit log, of ${called(one.staff)}, ticket ${one.ticket}`}>
            {one.eventCount.toLocaleString()} {one.eventCount === 1 ? "event" : "events"}
          </Link>
          <br />
          <span className="muted small nowrap">{one.changeCount === 0 ? "changed nothing" : `${one.changeCount.toLocaleString()} changed something`}</span>
        </>
      ),
    },
    ...(may("support")
      ? [
          {
            id: "acts",
            header: () => <span className="hidden-label">Acts</span>,
            enableSorting: false,
            cell: ({ row: { original: one } }: { row: { original: Impersonation } }) =>
              one.state === "RUNNING" && (
                <ActButton
                  document={ImpersonationEndDocument}
                  values={{ id: one.id }}
                  payloadOf={(act) => plainly(act.impersonationEnd)}
                  label="End it now"
                  name={`End it now: ${called(one.staff)}, ${one.ticket}`}
                  done={`It has ended: ${called(one.staff)} sees nothing of yours from the next request on.`}
                />
              ),
          } satisfies Column<Impersonation>,
        ]
      : []),
  ];
  return (
    <section className="panel flush" aria-labelledby="impersonations">
      <div className="row">
        <h2 id="impersonations">In your place, now and before</h2>
      </div>
      {rows.length === 0 ? (
        <Empty title="Support was never in your place">
          <p>Each time somebody of the staff comes in stands here: who, why, how long, and how much they did. Each look and each act is in the audit log.</p>
        </Empty>
      ) : (
        <Table label="Support in your place" columns={columns} rows={rows} idOf={(one) => one.id} />
      )}
    </section>
  );
}
