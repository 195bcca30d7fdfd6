// One swap: its gaps, what its shadow found, how many of the new records go to the candidate, and the way back until it is done.
import { useState } from "react";
import { Link, useParams } from "@tanstack/react-router";
import { parse, stringify } from "../api/digits";
import { useAsk } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Document } from "../ui/document";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { money } from "../ui/money";
import { Empty, Loading, Problem } from "../ui/state";
import { fromLocal, Time } from "../ui/time";
import { Gaps } from "./gaps";
import { SwapBackDocument, SwapChangeDocument, SwapCutDocument, SwapDocument, SwapDoneDocument, SwapShadowDocument, type SwapQuery } from "./query.generated";
import { counts, isOver, needsWhy, stateInWords, type Report } from "./words";

type Swap = NonNullable<SwapQuery["swap"]>;
type Act = "shadow" | "cut" | "done" | "back" | "mapping";
const EVERY_MS = 5_000;
const WHY_MAX = 2_000;

export function SwapPage() {
  const { tenant, flowId, swapId } = useParams({ from: "/t/$tenant/flows/$flowId/swaps/$swapId" });
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId }}>
          The flow
        </Link>
      </p>
      <Permitted isPage to="read" otherwise="Your role does not see flows" advice="Ask an owner or admin for another role.">
        <Page swapId={swapId} flowId={flowId} />
      </Permitted>
    </div>
  );
}

function Page({ swapId, flowId }: { swapId: string; flowId: string }) {
  // The rules go back as they came, so their numbers keep their digits.
  const asked = useAsk(SwapDocument, { id: swapId, flowId }, { everyMs: EVERY_MS });
  const rules = useAsk(SwapDocument, { id: swapId, flowId }, { of: "digits", read: parse });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the swap" />;
  const { swap, flow } = asked.data;
  if (!swap) {
    return (
      <Empty isPage title="There is no such swap">
        <p>It is none of this tenant’s, or the address is cut off.</p>
      </Empty>
    );
  }
  return <Shown swap={swap} flow={flow?.name ?? "a flow"} rules={rules.data?.swap ? stringify(rules.data.swap.mapping) : null} />;
}

function Shown({ swap, flow, rules }: { swap: Swap; flow: string; rules: string | null }) {
  const may = useMay();
  const [dialog, setDialog] = useState<Act | null>(null);
  const close = () => setDialog(null);
  const [before, candidate] = [swap.before?.name ?? "the old destination", swap.candidate?.name ?? "the candidate"];
  const report = (swap.report ?? null) as Report | null;
  const button = (act: Act, label: string, isMain = false) => (
    <button type="button" className={isMain ? "button main-act" : "button"} onClick={() => setDialog(act)}>
      {label}
    </button>
  );
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">
            From {before} to {candidate}
          </h1>
          <p>The destination of {flow}{swap.state === "back" ? " was to be replaced." : swap.state === "done" ? " was replaced." : " is being replaced."}</p>
        </div>
        {may("configure") && !isOver(swap.state) && (
          <div className="row">
            {swap.state !== "cutting" && button("shadow", report ? "Begin the shadow anew" : "Let the shadow run", swap.state === "draft")}
            {swap.state !== "draft" && swap.percent < 100 && button("cut", "Cut over", true)}
            {swap.percent === 100 && button("done", "It is done", true)}
            {swap.percent === 100 && button("cut", "Fewer")}
            {button("back", "Give it up")}
          </div>
        )}
      </div>
      <div className="grid2">
        <section className="panel stack tight">
          <div className="row apart">
            <h2>How it stands</h2>
            <Badge state={swap.state} tone={swap.state === "cutting" ? "warn" : swap.state === "shadow" ? "info" : undefined} />
          </div>
          <p>{stateInWords(swap.state, swap.percent, before, candidate)}</p>
          {swap.state === "cutting" && (
            <div className="bar" role="progressbar" aria-label="New records that go to the candidate" aria-valuemin={0} aria-valuemax={100} aria-valuenow={swap.percent}>
              <span style={{ width: `${swap.percent}%`, background: "var(--accent)" }} />
            </div>
          )}
          {swap.failure && <p className="note bad break">The shadow cannot go on: {swap.failure}</p>}
          <p className="muted small">
            Begun <Time at={swap.createdAt} />.{" "}
            {swap.closedAt && (
              <>
                Ended <Time at={swap.closedAt} />. {swap.movesKnown && "What the old destination knows is made anew at the new one when it changes next."}
              </>
            )}
          </p>
        </section>
        <Shadow swap={swap} report={report} />
      </div>
      {!isOver(swap.state) && <Gaps gaps={swap.gaps} />}
      <section className="panel stack tight">
        <div className="row apart">
          <h2>The candidate’s own rules</h2>
          {may("configure") && !isOver(swap.state) && rules !== null && button("mapping", "Change the rules")}
        </div>
        <p className="muted">They lie over those by which {swap.candidate?.connector ?? "its connector"} writes.</p>
        {rules !== null && <Document text={rules} label="The candidate’s own rules" />}
      </section>
      {dialog === "shadow" && <ShadowDialog swap={swap} close={close} />}
      {dialog === "cut" && <CutDialog swap={swap} needs={needsWhy(report)} close={close} />}
      {dialog === "done" && <DoneDialog swap={swap} before={before} candidate={candidate} close={close} />}
      {dialog === "back" && <BackDialog swap={swap} before={before} candidate={candidate} close={close} />}
      {dialog === "mapping" && rules !== null && <MappingDialog swap={swap} rules={rules} close={close} />}
    </>
  );
}

function Shadow({ swap, report }: { swap: Swap; report: Report | null }) {
  return (
    <section className="panel stack tight" aria-label="Shadow">
      <h2>What the shadow found</h2>
      {!report || !swap.shadowSince ? (
        <p className="muted">It has not run yet. It makes the candidate’s request of each delivery and sends none: so it is known what would be refused or lost before anything goes there.</p>
      ) : (
        <>
          <p>
            Of {(report.deliveries ?? 0).toLocaleString()} {report.deliveries === 1 ? "delivery" : "deliveries"} since <Time at={swap.shadowSince} />:
          </p>
          <ul>
            {counts(report).map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ul>
          {(report.causes ?? []).map((one, index) => (
            <p key={index} className="note warn break">
              {one.records.toLocaleString()}: {one.reason.sentence ?? one.reason.code}
            </p>
          ))}
          {(report.untold ?? 0) > 0 && <p className="muted small">{(report.untold ?? 0).toLocaleString()} more have other causes.</p>}
          {(report.lost ?? []).map((one) => (
            <p key={one.field} className="note warn break">
              <code>{one.field}</code> is lost in {one.records.toLocaleString()}
              {(one.money ?? []).map((sum) => `, ${money(String(sum.amount), sum.currency)}`)}
            </p>
          ))}
          {(report.worth ?? []).map((one) => (
            <p key={one.currency} className="num">
              Worth {money(String(one.old), one.currency)} there, {money(String(one.candidate), one.currency)} at the candidate
            </p>
          ))}
        </>
      )}
    </section>
  );
}

function ShadowDialog({ swap, close }: { swap: Swap; close: () => void }) {
  const act = useFormAct(SwapShadowDocument, (result) => result.swapShadow, () => "The shadow runs, a few seconds behind. Nothing is sent.", close);
  return (
    <FormDialog title="Let the shadow run" about="Of each delivery the candidate’s request is made too, and not sent. What it found before begins anew." label="Let it run" act={act} fields={["since"]} close={close} submit={(form) => act.run({ id: swap.id, since: fromLocal(String(form.get("since"))) })}>
      <Field label="Of deliveries that were planned from" help="Empty: from now on. At most 90 days back." wrong={act.wrong("since")}>
        {(props) => <input {...props} name="since" type="datetime-local" style={{ maxWidth: 240 }} />}
      </Field>
    </FormDialog>
  );
}

function CutDialog({ swap, needs, close }: { swap: Swap; needs: boolean; close: () => void }) {
  const act = useFormAct(SwapCutDocument, (result) => result.swapCut, () => "It counts for records that are new from now on.", close);
  return (
    <FormDialog
      title="Cut over"
      about="So many of a hundred new records go to the candidate. One that was delivered stays where it is; what is planned is not moved."
      label="Cut over"
      act={act}
      fields={["percent", "why"]}
      close={close}
      submit={(form) => act.run({ id: swap.id, percent: Number(form.get("percent")), why: String(form.get("why")).trim() || null })}
    >
      <Field label="Percent" help="Begin with few, and look at what became of them." wrong={act.wrong("percent")}>
        {(props) => <input {...props} name="percent" type="number" min={0} max={100} step={1} required defaultValue={swap.percent || 5} autoFocus style={{ maxWidth: 120 }} />}
      </Field>
      <Field label="Why" help={needs ? "Asked for, because the shadow saw nothing yet, or found what the candidate refuses or loses." : "May be left out: the shadow found nothing."} wrong={act.wrong("why")}>
        {(props) => <textarea {...props} name="why" required={needs} maxLength={WHY_MAX} />}
      </Field>
    </FormDialog>
  );
}

function DoneDialog({ swap, before, candidate, close }: { swap: Swap; before: string; candidate: string; close: () => void }) {
  const act = useFormAct(SwapDoneDocument, (result) => result.swapDone, () => `${candidate} is the destination of the flow.`, close);
  return (
    <FormDialog title={`Make ${candidate} the destination`} about="Its rules are published as a version. The way back from then on is another swap." label="It is done" act={act} close={close} submit={(form) => act.run({ id: swap.id, movesKnown: form.get("movesKnown") === "on" })}>
      <label className="row nowrap-start">
        <input type="checkbox" name="movesKnown" />
        <span>
          What {before} has is made anew at {candidate} when it changes next. It is there twice then, once in each system. Without this it is changed at {before}: keep that connection until none changes.
        </span>
      </label>
    </FormDialog>
  );
}

function BackDialog({ swap, before, candidate, close }: { swap: Swap; before: string; candidate: string; close: () => void }) {
  const act = useFormAct(SwapBackDocument, (result) => result.swapBack, () => `New records go to ${before}.`, close);
  return (
    <FormDialog title="Give the swap up" about={`New records go to ${before} again. What ${candidate} has stays there, with its later revisions.`} label="Give it up" act={act} fields={["why"]} close={close} submit={(form) => act.run({ id: swap.id, why: String(form.get("why")).trim() })}>
      <Field label="Why" help="It stands in the audit log." wrong={act.wrong("why")}>
        {(props) => <textarea {...props} name="why" required maxLength={WHY_MAX} autoFocus />}
      </Field>
    </FormDialog>
  );
}

function MappingDialog({ swap, rules, close }: { swap: Swap; rules: string; close: () => void }) {
  const [wrong, setWrong] = useState<string | null>(null);
  const act = useFormAct(SwapChangeDocument, (result) => result.swapChange, () => "The rules are kept. The shadow begins anew.", close);
  const submit = (form: FormData) => {
    setWrong(null);
    try {
      act.run({ id: swap.id, mapping: parse(String(form.get("mapping"))) });
    } catch {
      setWrong("This is no JSON. A list of rules looks like [{\"to\": \"memo\", \"from\": \"note\"}].");
    }
  };
  return (
    <FormDialog title="The candidate’s own rules" about="As JSON; what rules are is said in docs/mapping.md. They are checked when they are kept." label="Keep the rules" act={act} fields={["mapping"]} close={close} submit={submit}>
      <Field label="Rules" wrong={wrong ?? act.wrong("mapping")}>
        {(props) => <textarea {...props} className="mono" name="mapping" rows={12} spellCheck={false} defaultValue={rules} required />}
      </Field>
    </FormDialog>
  );
}
