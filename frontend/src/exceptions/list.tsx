// The queue: causes, not rows. What is worked here is a cause, once, for all of its exceptions.
import { useRef, useState } from "react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { useViewer } from "../app/tenants";
import { Badge } from "../ui/badge";
import { useKeys } from "../ui/keys";
import { Money } from "../ui/money";
import { Asked, Empty, LoadMore } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { age } from "../ui/time";
import { useTyped } from "../ui/typed";
import { ActDialog, type Act, type Chosen } from "./act";
import { many } from "./progress";
import { ExceptionGroupsDocument, type ExceptionGroupsQuery } from "./query.generated";
import { useTake } from "./take";

type Group = ExceptionGroupsQuery["exceptionGroups"]["nodes"][number];
const EVERY_MS = 5_000;
const OWNERS = ["operations", "developer", "vendor", "crossdock"];

export function Exceptions() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/exceptions" });
  const viewer = useViewer();
  const me = viewer.data?.viewer?.id;
  const may = useMay();
  const filter = {
    isSnoozed: search.away === "yes",
    isUnassigned: search.whose === "nobody",
    ...(search.whose === "mine" && me ? { assigneeId: me } : {}),
    ...(search.owner ? { owner: search.owner } : {}),
    ...(search.text ? { text: search.text } : {}),
  };
  const asked = usePages(ExceptionGroupsDocument, { filter, first: 50 }, (result) => result.exceptionGroups, { everyMs: EVERY_MS });
  const rows = asked.rows;
  const [chosenKey, setChosenKey] = useState<string | null>(null);
  const found = rows.findIndex((group) => group.causeKey === chosenKey);
  const focused = found < 0 && rows.length > 0 ? 0 : found;
  const group = rows[focused];
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [act, setAct] = useState<{ act: Act; groups: readonly Group[] } | null>(null);
  const box = useRef<HTMLInputElement>(null);
  const take = useTake();
  const narrow = (change: Partial<typeof search>) =>
    void navigate({ to: "/t/$tenant/exceptions", params: { tenant }, search: (now) => ({ ...now, ...change }), replace: true });
  const type = useTyped((text) => narrow({ text }));
  const move = (by: number) => setChosenKey(rows[Math.min(rows.length - 1, Math.max(0, focused + by))]?.causeKey ?? null);
  // What keys and buttons are about: the causes that are chosen, and else the one that has the focus.
  const chosen = rows.filter((row) => picked.has(row.causeKey));
  const meant = chosen.length > 0 ? chosen : group ? [group] : [];
  const turn = (key: string) =>
    setPicked((before) => {
      const next = new Set(before);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  const begin = (kind: Act) => () => meant.length > 0 && setAct({ act: kind, groups: meant });
  const acts: { key: string; label: string; act: () => void }[] = !may("work")
    ? []
    : [
        { key: "r", label: "Retry", act: begin("retry") },
        { key: "m", label: "Make it mine", act: () => take(meant.map(chosenOf)) },
        { key: "a", label: "Assign", act: begin("assign") },
        { key: "c", label: "Comment", act: begin("comment") },
        { key: "s", label: "Snooze", act: begin("snooze") },
        { key: "t", label: "Tag", act: begin("tag") },
        { key: "i", label: "Ignore", act: begin("ignore") },
      ];
  useKeys([
    { key: "j", label: "Next cause", act: () => move(1) },
    { key: "k", label: "Cause before", act: () => move(-1) },
    {
      key: "Enter",
      label: "Open the cause",
      act: () => group && void navigate({ to: "/t/$tenant/exceptions/$causeKey", params: { tenant, causeKey: group.causeKey } }),
    },
    ...(may("work")
      ? [
          { key: "x", label: "Choose this cause, or not", act: () => group && turn(group.causeKey) },
          { key: "X", label: "Choose all causes that are shown, or none", act: () => setPicked(chosen.length === rows.length ? new Set() : new Set(rows.map((row) => row.causeKey))) },
        ]
      : []),
    ...acts.map((one) => ({ ...one, label: `${one.label}: what is chosen, or all of this cause` })),
    { key: "/", label: "Search the queue", act: () => box.current?.focus() },
  ]);
  const isNarrowed = Boolean(search.text || search.owner || search.whose || search.away);
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Exceptions</h1>
          <p>One line for each cause. Work the cause, and all of its exceptions go on together.</p>
        </div>
      </div>
      <div className="row" role="search">
        <label className="hidden-label" htmlFor="find-cause">Search what happened</label>
        <input
          id="find-cause"
          ref={box}
          type="search"
          placeholder="Search what happened: HAT-XL, #1042"
          style={{ maxWidth: 340 }}
          defaultValue={search.text ?? ""}
          onChange={(event) => type(event.target.value)}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
        <label className="hidden-label" htmlFor="find-owner">Owner</label>
        <select id="find-owner" value={search.owner ?? ""} onChange={(event) => narrow({ owner: event.target.value })}>
          <option value="">All owners</option>
          {OWNERS.map((owner) => (
            <option key={owner}>{owner}</option>
          ))}
        </select>
        <label className="hidden-label" htmlFor="find-whose">Assigned to</label>
        <select id="find-whose" value={search.whose ?? ""} onChange={(event) => narrow({ whose: event.target.value })}>
          <option value="">Assigned to anybody</option>
          <option value="mine">Assigned to me</option>
          <option value="nobody">Assigned to nobody</option>
        </select>
        <label className="row">
          <input type="checkbox" checked={search.away === "yes"} onChange={(event) => narrow({ away: event.target.checked ? "yes" : "" })} />
          Snoozed
        </label>
      </div>
      {chosen.length > 0 && (
        <div className="row actbar" role="toolbar" aria-label="Acts">
          <strong>
            {chosen.length === 1 ? "1 cause" : `${chosen.length.toLocaleString()} causes`}, {many(countOf(chosen))}
          </strong>
          {acts.map((one) => (
            <button key={one.key} type="button" className="button" onClick={one.act}>
              {one.label} <kbd>{one.key}</kbd>
            </button>
          ))}
          <button type="button" className="button quiet" onClick={() => setPicked(new Set())}>
            Choose none
          </button>
        </div>
      )}
      <Asked of={asked} what="the queue">
        <section className="panel flush">
          {rows.length === 0 ? (
            isNarrowed ? (
              <Empty title="No cause fits">
                <p>Nothing open matches what you search and chose above.</p>
                <button type="button" className="button" onClick={() => { if (box.current) box.current.value = ""; narrow({ text: "", owner: "", whose: "", away: "" }); }}>
                  Show all causes
                </button>
              </Empty>
            ) : (
              <Empty title="Nothing needs you">
                <p>Everything that came was delivered or is on its way. When a delivery needs a person, its cause appears here by itself.</p>
              </Empty>
            )
          ) : (
            <Table label="Causes" columns={columns(tenant, may("work") ? { picked, turn } : null)} rows={rows} idOf={(row) => row.causeKey} focused={focused} onSeenEnd={asked.more} />
          )}
          <LoadMore of={asked} what="causes" />
        </section>
      </Asked>
      {act && (
        <ActDialog
          act={act.act}
          chosen={act.groups.map(chosenOf)}
          count={countOf(act.groups)}
          about={act.groups.length === 1 ? (act.groups[0]?.cause ?? "") : `${act.groups.length.toLocaleString()} causes`}
          close={() => setAct(null)}
        />
      )}
    </div>
  );
}

const countOf = (groups: readonly Group[]) => groups.reduce((sum, group) => sum + group.count, 0);
function chosenOf({ causeKey, assignee, isSnoozed, tags }: Group): Chosen {
  const selection = { causeKey };
  return { selection, before: { assigneeId: assignee?.userId ?? null, isSnoozed, tagged: [{ selection, tags }] } };
}

function columns(tenant: string, choose: { picked: ReadonlySet<string>; turn: (key: string) => void } | null): Column<Group>[] {
  return [
    ...(choose
      ? [
          {
            id: "choose",
            header: () => <span className="hidden-label">Chosen</span>,
            cell: ({ row: { original: group } }: { row: { original: Group } }) => (
              <input type="checkbox" aria-label={`Choose: ${group.cause}`} checked={choose.picked.has(group.causeKey)} onChange={() => choose.turn(group.causeKey)} />
            ),
          } satisfies Column<Group>,
        ]
      : []),
    {
      header: "What happened and what to do",
      cell: ({ row: { original: group } }) => (
        <div className="break cause">
          <Link className="row-link" to="/t/$tenant/exceptions/$causeKey" params={{ tenant, causeKey: group.causeKey }}>
            {group.cause}
          </Link>
          <p className="muted small">{group.nextStep}</p>
          {group.tags.length > 0 && (
            <p className="row">
              {group.tags.map((tag) => (
                <Badge key={tag}>{tag}</Badge>
              ))}
            </p>
          )}
        </div>
      ),
    },
    { header: "Count", meta: NUMBERS, cell: ({ row }) => row.original.count.toLocaleString() },
    { header: "Oldest", meta: NUMBERS, cell: ({ row }) => <span className="nowrap">{age(row.original.oldestAgeS)}</span> },
    { header: "At stake", meta: NUMBERS, cell: ({ row }) => <Money sums={row.original.money} /> },
    { header: "Owner", cell: ({ row }) => row.original.owner },
    {
      header: "Assignee",
      cell: ({ row }) => row.original.assignee?.name || row.original.assignee?.email || <span className="muted">nobody</span>,
    },
    { header: "Fix", cell: ({ row }) => row.original.fixes[0]?.label ?? <span className="muted">retry</span> },
  ];
}
