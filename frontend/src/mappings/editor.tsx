// The mapping editor: what a flow reads from its source and writes to its destination, as tables of rules beside a sample. What is written is checked
// at every pause and kept as the flow's draft; nothing runs by it before it is published.
import { useMemo, useState } from "react";
import { Link, useBlocker, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Tabs } from "radix-ui";
import { useAsk } from "../api/hooks";
import { useMay } from "../app/role";
import { FlowDrifts, useFlowDrifts, type OpenDrifts } from "../drifts/of-flow";
import { Badge } from "../ui/badge";
import { Empty, Loading, Problem, sentence } from "../ui/state";
import { CANONICAL } from "./canonical.generated";
import { offerExpression } from "./complete";
import { Differences } from "./differences";
import { readFlow, specOf, useDraft, type Draft, type FlowNode, type Side } from "./draft";
import { DryRuns } from "./dry-runs";
import { More } from "./more";
import { pathsOf, pathsWithin } from "./paths";
import { addressOf, changed, rowsOf, ruleAt, targetOf, type Rule } from "./rules";
import { describedBy, problemsAt, said, wrongId } from "./problems";
import { MappingFlowDocument, MappingKnownDocument } from "./query.generated";
import { SamplePanel, useSample } from "./sample";
import { Suggest } from "./suggest";
import { RuleTable } from "./table";
import { TakeOver } from "./take-over";

export function MappingEditor() {
  const { flowId, tenant } = useParams({ from: "/t/$tenant/flows/$flowId/mapping" });
  const asked = useAsk(MappingFlowDocument, { id: flowId }, { read: readFlow });
  const drifts = useFlowDrifts(flowId);
  const flow = asked.data?.flow;
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/flows" params={{ tenant }}>
          Flows
        </Link>
        {flow && (
          <>
            {" / "}
            <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId }}>
              {flow.name}
            </Link>
          </>
        )}
      </p>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data || !drifts ? (
        <Loading what="the mapping" />
      ) : flow ? (
        <Editor key={flow.id} flow={flow} drifts={drifts} tenant={tenant} />
      ) : (
        <Empty isPage title="There is no such flow">
          <p>It is none of this tenant’s, or the address is cut off.</p>
        </Empty>
      )}
    </div>
  );
}

function Editor({ flow, drifts, tenant }: { flow: FlowNode; drifts: OpenDrifts; tenant: string }) {
  const may = useMay();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/flows/$flowId/mapping" });
  const side: Side = search.side === "read" ? "read" : "write";
  const draft = useDraft(flow);
  const [selected, select] = useState<string | null>(null);
  const hasBothSides = Boolean(flow.source && flow.destination);
  const known = useAsk(MappingKnownDocument, { sourceId: flow.source?.id ?? "", destinationId: flow.destination?.id ?? "", kind: flow.recordKind }, { isWanted: hasBothSides, isDear: true });
  // Those that were the newest as one came: where much comes, the sample that one works beside would be another every two seconds.
  const newest = known.data?.records.nodes;
  const [held, hold] = useState(newest);
  const records = held?.length ? held : newest;
  if (records !== held) hold(records);
  const sample = useSample(flow, records, draft.kept, draft.unsaved, side, hasBothSides && known.isPending);
  const running = useMemo(() => (flow.published ? specOf(flow.published) : null), [flow.published]);
  const rules = draft.spec[side];
  const canonical = CANONICAL[flow.recordKind] ?? [];
  const tables = useMemo(() => (known.data?.lookupTables.nodes ?? []).map((one) => one.name), [known.data]);
  const sources = useMemo(() => {
    const profiled = side === "read" ? (known.data?.source?.fields ?? []).map((one) => one.path) : canonical;
    return [...new Set([...pathsOf(sample.tree), ...profiled])];
  }, [side, known.data, canonical, sample.tree]);
  const targets = useMemo(() => {
    const profiled = side === "read" ? canonical : (known.data?.destination?.fields ?? []).map((one) => one.path);
    return [...new Set([...pathsOf(sample.made), ...profiled])];
  }, [side, known.data, canonical, sample.made]);
  const hasDraft = draft.kept.state === "draft" || draft.kept.state === "review";
  const change = (next: readonly Rule[], isStep?: boolean) => draft.change({ ...draft.spec, [side]: next }, isStep);
  const current = selected === null ? undefined : rowsOf(rules).find((row) => addressOf(row.place) === selected);
  useBlocker({
    shouldBlockFn: ({ current: from, next }) => from.pathname !== next.pathname && !window.confirm("What you wrote last is not kept yet. Leave it?"),
    enableBeforeUnload: true,
    disabled: draft.isKept || !may("configure"),
  });
  const show = (next: Side) => {
    select(null);
    void navigate({ to: "/t/$tenant/flows/$flowId/mapping", params: { tenant, flowId: flow.id }, search: { side: next }, replace: true });
  };
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">Mapping of {flow.name}</h1>
          <p>
            Your rules lie over those that come with the connectors: one with the same target takes its place. Everything that you do not say here is done as the connectors do it.
          </p>
        </div>
        <div className="row">
          {draft.undo && (
            <button type="button" className="button" onClick={draft.undo}>
              Undo
            </button>
          )}
          <Link className={hasDraft ? "button main-act" : "button"} to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: flow.id }}>
            {hasDraft ? "Go on to publish" : "Back to the flow"}
          </Link>
        </div>
      </div>
      <Status flow={flow} draft={draft} />
      <FlowDrifts drifts={drifts} side={side === "read" ? "source" : "destination"} />
      {!may("configure") && <p className="note">Your role here may look at the mapping and not change it: what you write is checked, and never kept.</p>}
      <Tabs.Root className="stack" value={side} onValueChange={(next) => show(next === "read" ? "read" : "write")}>
        <Tabs.List className="tabs" aria-label="Sides">
          {(["read", "write"] as const).map((one) => (
            <Tabs.Trigger key={one} value={one}>
              {one === "read" ? `Reads from ${flow.source?.name ?? "the source"}` : `Writes to ${flow.destination?.name ?? "the destination"}`} <span className="muted">{draft.spec[one].length}</span>
              {drifts.rows.some((drift) => drift.side === (one === "read" ? "source" : "destination")) && <Badge tone="warn">drift</Badge>}
              {draft.problems[one].length > 0 && <Badge tone="bad">{draft.problems[one].length} wrong</Badge>}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        <Tabs.Content className="mapping" value={side}>
          <div className="stack">
            {side === "write" && <Filter draft={draft} paths={pathsWithin(canonical, [])} tables={tables} />}
            <section className="panel flush">
              {rules.length === 0 && (
                <Empty title={side === "read" ? "You have no rule of your own for what comes" : "You have no rule of your own for what is sent"}>
                  <p>
                    {side === "read"
                      ? "The connector knows how its messages become records. Add a rule for a field that it reads otherwise than you want, or does not read."
                      : "The connector knows how records become requests. Add a rule for a field that it writes otherwise than you want, or does not write."}
                  </p>
                </Empty>
              )}
              <RuleTable
                key={side}
                rules={rules}
                running={running?.[side] ?? null}
                problems={draft.problems[side]}
                sources={sources}
                targets={targets}
                tables={tables}
                sample={sample.tree}
                made={sample.made}
                selected={selected}
                select={select}
                change={change}
                leave={draft.leave}
              />
            </section>
            {current && (
              <More
                key={`${side} ${selected}`}
                rule={ruleAt(rules, current.place) ?? current.rule}
                target={targetOf(rules, current.place)}
                problems={problemsAt(draft.problems[side], current.place)}
                change={(edit, isStep) => change(changed(rules, current.place, edit), isStep)}
                leave={draft.leave}
              />
            )}
            <TakeOver
              side={side}
              rules={rules}
              made={sample.made}
              provenance={sample.provenance}
              take={(rule) => {
                change([...rules, rule], true);
                select(`rules[${rules.length}]`);
                requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-cell="rules[${rules.length}]/source"]`)?.focus());
              }}
            />
            {/* They stand below what the sample brings. */}
            {!sample.isFirstComing && (
              <>
                <Differences running={running} version={flow.published?.version ?? null} spec={draft.spec} />
                <DryRuns flow={flow} kept={draft.kept} unsaved={draft.unsaved} records={records ?? []} isKept={draft.isKept} />
              </>
            )}
          </div>
          <SamplePanel flow={flow} records={records ?? []} sample={sample} side={side} isOlder={!draft.isKept && draft.unsaved === null} />
        </Tabs.Content>
      </Tabs.Root>
    </>
  );
}

/** Where what one writes stands: being checked, wrong, kept, or drafted by somebody else meanwhile. */
function Status({ flow, draft }: { flow: FlowNode; draft: Draft }) {
  const wrong = Object.values(draft.problems).flat();
  const isDraft = draft.kept.state === "draft" || draft.kept.state === "review";
  return (
    <div className="stack tight">
      <p className="row" role="status">
        {draft.refused !== null ? (
          <Badge tone="bad">not kept</Badge>
        ) : wrong.length > 0 ? (
          <Badge tone="bad">not kept yet</Badge>
        ) : draft.isKept ? (
          <Badge tone={isDraft ? "good" : "info"}>{isDraft ? "kept" : "as it runs"}</Badge>
        ) : draft.isTriedAgain ? (
          <Badge tone="bad">not kept yet</Badge>
        ) : (
          <Badge tone="warn">{draft.isSaving ? "keeping" : "checking"}</Badge>
        )}
        <span>
          {draft.refused !== null
            ? sentence(draft.refused)
            : wrong.length > 0
              ? `${wrong.length} ${wrong.length === 1 ? "thing is" : "things are"} wrong. It is kept as soon as nothing is.`
              : !draft.isKept
                ? draft.isTriedAgain
                  ? "It could not be kept. That is tried again by itself, and at once when you leave a cell."
                  : "It is kept as soon as you leave the cell."
                : isDraft
                  ? `Everything is kept as draft version ${draft.kept.version}. Nothing runs by it before it is published.`
                  : flow.published
                    ? `This is version ${flow.published.version}, which runs. Your first change makes a draft beside it.`
                    : "Your first change makes a draft."}
        </span>
        {draft.refused !== null && (
          <button type="button" className="button" onClick={() => window.location.reload()}>
            Load it anew
          </button>
        )}
      </p>
      {draft.kept.state === "review" && draft.isKept && <p className="note warn">It was handed over to be approved. A change makes it a draft again, and its approval is over.</p>}
      {Boolean(draft.error) && <Problem error={draft.error} />}
      {draft.problems.others.map((one) => (
        <p key={one.sentence} className="note bad" role="alert">
          {sentence(said(one))}
        </p>
      ))}
      {draft.missingTables.length > 0 && (
        <p className="note warn">
          There is no lookup table {draft.missingTables.map((name) => `“${name}”`).join(", ")} yet: what is looked up there becomes an exception until it is made.
        </p>
      )}
    </div>
  );
}

function Filter({ draft, paths, tables }: { draft: Draft; paths: readonly string[]; tables: readonly string[] }) {
  const wrong = draft.problems.filter;
  const text = draft.spec.filter ?? "";
  return (
    <section className="panel stack tight" onBlur={draft.leave}>
      <h2>Only records for which</h2>
      <Suggest
        label="Filter"
        value={text}
        placeholder="All. For example totals.grand > 0 && payment_status == 'paid'"
        isWrong={wrong.length > 0}
        describedBy={describedBy("filter", wrong.length)}
        change={(filter) => draft.change({ ...draft.spec, filter: filter === "" ? null : filter })}
        offer={(value, cursor) => offerExpression(value, cursor, { paths, tables })}
      />
      {wrong.map((one, index) => (
        <span key={one.sentence} id={wrongId("filter", index)} className="wrong bad-text" role="alert">
          {one.column > 0 && (
            <code className="where">
              {[...text].slice(0, one.column - 1).join("")}
              <mark>{[...text][one.column - 1] ?? "⎵"}</mark>
              {[...text].slice(one.column).join("")}{" "}
            </code>
          )}
          {said(one)}
        </span>
      ))}
    </section>
  );
}
