// One cause: what it is, the fix, and its exceptions, one of which is shown in full. Decisions here hold for what joins the cause later.
import { useEffect, useState } from "react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { isAwaited, nodeWith, useAsk, usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { useKeys } from "../ui/keys";
import { Money, money } from "../ui/money";
import { Asked, Empty, LoadMore, Loading, Problem } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Age, age, Time } from "../ui/time";
import { ActDialog, type Act, type Before } from "./act";
import { Closed } from "./closed";
import { currentOf, type Current } from "./current";
import { ExceptionDetail } from "./detail";
import { Fixes } from "./fix";
import { ExceptionDetailDocument, ExceptionGroupDocument, ExceptionGroupsDocument, ExceptionsDocument, type ExceptionGroupQuery, type ExceptionsQuery, type ExceptionSelectionInput } from "./query.generated";
import { Said } from "./said";
import { useTake } from "./take";

type Group = NonNullable<ExceptionGroupQuery["exceptionGroup"]>;
type Row = ExceptionsQuery["exceptions"]["nodes"][number];
const EVERY_MS = 5_000;

export function ExceptionGroup() {
  const { causeKey, tenant } = useParams({ from: "/t/$tenant/exceptions/$causeKey" });
  const asked = useAsk(ExceptionGroupDocument, { causeKey }, { everyMs: EVERY_MS });
  const group = asked.data?.exceptionGroup;
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  // What stands there while another cause is asked for is the one before, and this address names none of its exceptions.
  if (!asked.data || asked.isPlaceholderData) return <Loading what="the cause" />;
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/exceptions" params={{ tenant }}>
          Exceptions
        </Link>
      </p>
      {group ? <Work key={group.causeKey} group={group} /> : <Worked causeKey={causeKey} />}
    </div>
  );
}

function Worked({ causeKey }: { causeKey: string }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const named = useSearch({ from: "/t/$tenant/exceptions/$causeKey" }).exception;
  const next = useAsk(ExceptionGroupsDocument, { first: 1, filter: { isSnoozed: false } }).data?.exceptionGroups.nodes[0];
  const back = () => void navigate({ to: "/t/$tenant/exceptions", params: { tenant } });
  useKeys([
    { key: "u", label: "Back to the queue", act: back },
    ...(next ? [{ key: "n", label: "The next cause", act: () => void navigate({ to: "/t/$tenant/exceptions/$causeKey", params: { tenant, causeKey: next.causeKey } }) }] : []),
  ]);
  const asked = usePages(ExceptionsDocument, { causeKey, first: 20 }, (result) => result.exceptions);
  const [isPlaced, setPlaced] = useState(false);
  return (
    <>
      <div className="panel">
        <Empty isPage title="Nothing of this cause is open any more">
          <p>All of its exceptions went on, or were closed with a reason. If it happens again, the cause is back in the queue by itself.</p>
          <div className="row">
            {next && (
              <Link className="button main-act" to="/t/$tenant/exceptions/$causeKey" params={{ tenant, causeKey: next.causeKey }}>
                The next cause <kbd>n</kbd>
              </Link>
            )}
            <Link className={next ? "button" : "button main-act"} to="/t/$tenant/exceptions" params={{ tenant }}>
              Back to the queue <kbd>u</kbd>
            </Link>
          </div>
        </Empty>
      </div>
      {/* An address may name the cause by a key that was sealed for somebody else: what is listed has it as it is shown here. */}
      {named && <ExceptionDetail key={named} id={named} causeKey={asked.rows[0]?.causeKey ?? causeKey} onPlaced={setPlaced} />}
      {(!named || isPlaced) && <Closed title="What became of them" of={asked} />}
    </>
  );
}

function Work({ group }: { group: Group }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/exceptions/$causeKey" });
  const asked = usePages(ExceptionsDocument, { causeKey: group.causeKey, state: "open", first: 100 }, (result) => result.exceptions, { everyMs: EVERY_MS });
  const ignored = usePages(ExceptionsDocument, { causeKey: group.causeKey, state: "ignored", first: 20 }, (result) => result.exceptions, { everyMs: EVERY_MS });
  const rows = asked.rows;
  const [before, setCurrent] = useState<Current | null>(null);
  const isListed = rows.some((row) => row.id === before?.id);
  // One that is older than what was loaded of the list, or closed meanwhile, is asked for by itself.
  const alone = useAsk(ExceptionDetailDocument, { id: before?.id ?? "" }, { isWanted: before !== null && !asked.isPending && !isListed, everyMs: EVERY_MS });
  const node = nodeWith(alone.data?.node, "causeKey");
  const current = currentOf(before, search.exception, rows, node);
  if (current !== before) setCurrent(current);
  const focused = rows.findIndex((row) => row.id === current?.id);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const picked = rows.filter((row) => chosen.has(row.id)).map((row) => row.id);
  const [act, setAct] = useState<Act | null>(null);
  const [isPlaced, setPlaced] = useState(false);
  const show = (row: Row | undefined) => {
    if (!row) return;
    // At once: the next key may come before the address has followed, and is meant for this one.
    setCurrent({ id: row.id, named: search.exception, wasOpen: true });
    void navigate({ to: "/t/$tenant/exceptions/$causeKey", params: { tenant, causeKey: group.causeKey }, search: { exception: row.id }, replace: true });
  };
  const move = (by: number) => show(rows[Math.min(rows.length - 1, Math.max(0, focused + by))]);
  const turn = (id: string) =>
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  // The one that the address named is done: it names the next, as the page does.
  const nextId = search.exception && current && current.named === search.exception && current.id !== search.exception ? current.id : null;
  useEffect(() => {
    if (nextId) void navigate({ to: "/t/$tenant/exceptions/$causeKey", params: { tenant, causeKey: group.causeKey }, search: { exception: nextId }, replace: true });
  }, [nextId, navigate, tenant, group.causeKey]);
  const selection: ExceptionSelectionInput = picked.length > 0 ? { ids: picked } : { causeKey: group.causeKey };
  const count = picked.length > 0 ? picked.length : group.count;
  // Those that are chosen may be several people's: then there is no one to give them back to.
  const ownersOfPicked = new Set(rows.filter((row) => chosen.has(row.id)).map((row) => row.assigneeId ?? null));
  const stood: Before =
    picked.length > 0
      ? {
          assigneeId: ownersOfPicked.size === 1 ? [...ownersOfPicked][0] : undefined,
          isSnoozed: rows.some((row) => chosen.has(row.id) && row.snoozedUntil),
          tagged: rows.filter((row) => chosen.has(row.id)).map(({ id, tags }) => ({ selection: { ids: [id] }, tags })),
        }
      : { assigneeId: group.assignee?.userId ?? null, isSnoozed: group.isSnoozed, tagged: [{ selection, tags: group.tags }] };
  const may = useMay();
  const take = useTake();
  const acts: { act: Act; key: string; label: string }[] = !may("work") ? [] : [
    { act: "retry", key: "r", label: "Retry" },
    { act: "assign", key: "a", label: "Assign" },
    { act: "comment", key: "c", label: "Comment" },
    { act: "snooze", key: "s", label: "Snooze" },
    { act: "tag", key: "t", label: "Tag" },
    { act: "ignore", key: "i", label: "Ignore" },
  ];
  useKeys([
    { key: "j", label: "Next exception", act: () => move(1) },
    { key: "k", label: "Exception before", act: () => move(-1) },
    ...(may("work") ? [{ key: "x", label: "Choose this exception, or not", act: () => current && focused >= 0 && turn(current.id) }] : []),
    { key: "f", label: "To the fix", act: () => document.querySelector<HTMLElement>("#fix input, #fix button, #fix a")?.focus() },
    ...(may("work") ? [{ key: "m", label: "Make mine what is chosen, or all of the cause", act: () => take([{ selection, before: stood }]) }] : []),
    ...acts.map((one) => ({ key: one.key, label: `${one.label} what is chosen, or all of the cause`, act: () => setAct(one.act) })),
    ...(may("work")
      ? [
          { key: "X", label: "Choose all that are shown, or none", act: () => setChosen(picked.length === rows.length ? new Set() : new Set(rows.map((row) => row.id))) },
          { key: "w", label: "What a retry would do now", act: tryIt },
        ]
      : []),
    { key: "u", label: "Back to the queue", act: () => void navigate({ to: "/t/$tenant/exceptions", params: { tenant } }) },
  ]);
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">{group.cause}</h1>
          <p>{group.nextStep}</p>
        </div>
      </div>
      <dl className="strip panel">
        <div>
          <dt>Open</dt>
        <dd>
          {group.count.toLocaleString()}, the oldest for {age(group.oldestAgeS)}
        </dd></div>
        <div>
          <dt>At stake</dt>
        <dd>
          <Money sums={group.money} />
        </dd></div>
        <div>
          <dt>Owner</dt>
        <dd>{group.owner}</dd></div>
        <div>
          <dt>Assigned to</dt>
        <dd>{group.assignee?.name || group.assignee?.email || "nobody"}</dd></div>
        {group.isSnoozed && group.snoozedUntil && (
          <>
            <div>
              <dt>Snoozed until</dt>
            <dd>
              <Time at={group.snoozedUntil} />
              {group.snoozedAbove ? `, or more than ${group.snoozedAbove} are open` : ""}
            </dd></div>
          </>
        )}
        {group.tags.length > 0 && (
          <>
            <div>
              <dt>Tags</dt>
            <dd className="row">
              {group.tags.map((tag) => (
                <Badge key={tag}>{tag}</Badge>
              ))}
            </dd></div>
          </>
        )}
      </dl>
      {may("work") ? <Fixes group={group} picked={picked} currentId={current?.wasOpen ? current.id : undefined} /> : <p className="note">Your role here may look at exceptions and not work them.</p>}
      {acts.length > 0 && (
      <div className="row actbar" role="toolbar" aria-label="Acts">
        <strong>{picked.length > 0 ? `${picked.length} chosen` : group.count === 1 ? "This one" : `All ${group.count.toLocaleString()}`}</strong>
        <button type="button" className="button" onClick={() => take([{ selection, before: stood }])}>
          Make it mine <kbd>m</kbd>
        </button>
        {acts.map((one) => (
          <button key={one.act} type="button" className="button" onClick={() => setAct(one.act)}>
            {one.label} <kbd>{one.key}</kbd>
          </button>
        ))}
        {picked.length > 0 && (
          <button type="button" className="button quiet" onClick={() => setChosen(new Set())}>
            Choose none
          </button>
        )}
      </div>
      )}
      <section className="panel flush">
        <Asked of={asked} what="its exceptions">
          <Table label="Exceptions of this cause" columns={columns(group, chosen, may("work") ? turn : null)} rows={rows} idOf={(row) => row.id} isShort focused={focused} currentId={current?.id} onSeenEnd={asked.more} />
          <LoadMore of={asked} />
        </Asked>
      </section>
      {current && <ExceptionDetail key={current.id} id={current.id} causeKey={group.causeKey} onPlaced={setPlaced} />}
      {/* The first time each waits for what stands above it; then it stays, with what somebody types there, whichever exception is shown. */}
      {(isPlaced || (!current && !isAwaited(asked))) && (
        <>
          <Closed title="Ignored" of={ignored} />
          {!isAwaited(ignored) && <Said comments={group.comments} history={group.history} about="this cause" />}
        </>
      )}
      {act && <ActDialog act={act} chosen={[{ selection, before: stood }]} count={count} about={group.cause} close={() => setAct(null)} />}
    </>
  );
}

/** Where an entry is needed first, that is where one goes. */
function tryIt() {
  const button = document.querySelector<HTMLButtonElement>("#fix [data-what-if]");
  if (button?.disabled) document.querySelector<HTMLElement>("#fix input")?.focus();
  else button?.click();
}

/** Where nothing is done with what is chosen, nothing is chosen. */
function columns(group: Group, chosen: ReadonlySet<string>, turn: ((id: string) => void) | null): Column<Row>[] {
  return [
    ...(turn
      ? [
          {
            id: "choose",
            header: () => <span className="hidden-label">Chosen</span>,
            cell: ({ row }) => <input type="checkbox" aria-label={`Choose: ${row.original.sentence}`} checked={chosen.has(row.original.id)} onChange={() => turn(row.original.id)} />,
          } satisfies Column<Row>,
        ]
      : []),
    {
      header: "Exception",
      cell: ({ row }) => (
        <Link
          className="row-link break"
          from="/t/$tenant/exceptions/$causeKey"
          to="/t/$tenant/exceptions/$causeKey"
          params={(now) => ({ ...now, causeKey: group.causeKey })}
          search={{ exception: row.original.id }}
        >
          {row.original.sentence}
        </Link>
      ),
    },
    { header: "Amount", meta: NUMBERS, cell: ({ row }) => <span className="nowrap">{row.original.amount ? money(row.original.amount, row.original.currency ?? null) : "–"}</span> },
    { header: "Open for", meta: NUMBERS, cell: ({ row }) => <span className="nowrap"><Age since={row.original.openedAt} /></span> },
  ];
}
