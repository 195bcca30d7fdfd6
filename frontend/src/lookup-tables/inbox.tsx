// The inbox: values that deliveries wait for because no table has them, the most wanted first. One answer adds the entry and lets all of them go on.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { HiddenAnswer, useIsHidden } from "../app/hidden";
import { useMay } from "../app/role";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Asked, Empty, LoadMore } from "../ui/state";
import { Time } from "../ui/time";
import { Working } from "../ui/working";
import { LookupInboxDocument, LookupInboxResolveDocument, LookupTableCreateDocument, type LookupInboxQuery } from "./query.generated";

type Item = LookupInboxQuery["lookupInbox"]["nodes"][number];
const EVERY_MS = 5_000;

export function useInbox() {
  return usePages(LookupInboxDocument, {}, (result) => result.lookupInbox, { everyMs: EVERY_MS });
}

export function Inbox({ asked }: { asked: ReturnType<typeof useInbox> }) {
  const isHidden = useIsHidden();
  return (
    <section className="panel flush" aria-label="Values without an entry">
      <h2>Values without an entry</h2>
      <Asked of={asked} what="the inbox">
        {asked.rows.length === 0 ? (
          <Empty title="No value is missing">
            <p>When an order comes with a SKU, a tax or a customer that no table has, the value appears here with what it may mean. One answer lets all go on that wait for it.</p>
          </Empty>
        ) : (
          <div className="table stacks" tabIndex={0} role="region" aria-label="Inbox">
            <table>
              <thead>
                <tr>
                  <th scope="col">Value</th>
                  <th scope="col">Waits</th>
                  <th scope="col" style={{ width: "38%" }}>What it is at the destination</th>
                </tr>
              </thead>
              <tbody>
                {asked.rows.map((item, index) => (
                  // Of hidden values one is like the other.
                  <Answer key={`${item.table}\n${item.value}\n${isHidden(item.value) ? index : ""}`} item={item} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Asked>
      <LoadMore of={asked} what="values" />
    </section>
  );
}

function Answer({ item }: { item: Item }) {
  const tenant = useTenant();
  const may = useMay();
  const isHidden = useIsHidden();
  const [to, setTo] = useState("");
  const table = item.lookupTable;
  const act = useFormAct(LookupInboxResolveDocument, (result) => result.lookupInboxResolve, ({ lookupInboxResolve }) => `“${item.value}” is in the table “${item.table}”, and ${lookupInboxResolve.retried.toLocaleString()} go on.`);
  const make = useFormAct(LookupTableCreateDocument, (result) => result.lookupTableCreate, () => `The table “${item.table}” is made. Answer the value now.`);
  return (
    <tr>
      <td className="break">
        <strong>{item.value}</strong>
        <p className="muted small">
          not in{" "}
          {table ? (
            <Link to="/t/$tenant/lookup-tables/$tableId" params={{ tenant, tableId: table.id }}>
              {item.table}
            </Link>
          ) : (
            `“${item.table}”, which is not there yet`
          )}
        </p>
      </td>
      <td>
        <span className="num">{item.deliveryCount.toLocaleString()}</span> since <Time at={item.since} />
        <p className="muted small break">
          {item.records.map((number, index) => (
            <span key={number}>
              {index > 0 && ", "}
              <Link to="/t/$tenant/records" params={{ tenant }} search={{ q: number }}>
                {number}
              </Link>
            </span>
          ))}
          {item.recordCount > item.records.length && ` and ${(item.recordCount - item.records.length).toLocaleString()} more`}
        </p>
      </td>
      <td>
        {!may("work") ? (
          <span className="muted">Your role cannot answer it.</span>
        ) : table && isHidden(item.value) ? (
          <HiddenAnswer />
        ) : table ? (
          <form
            className="stack tight"
            onSubmit={(event) => {
              event.preventDefault();
              act.run({ tableId: table.id, value: item.value, to: to.trim() });
            }}
          >
            <div className="row">
              <input aria-label={`What ${item.value} is at the destination`} value={to} onChange={(event) => setTo(event.target.value)} required maxLength={2000} autoComplete="off" style={{ maxWidth: 260 }} />
              <button type="submit" className="button main-act" disabled={act.isBusy || !to.trim()}>
                {act.isBusy ? "Working…" : "Add and retry all"}
              </button>
              <Working isBusy={act.isBusy}>Adding it, and setting {item.deliveryCount.toLocaleString()} free.</Working>
            </div>
            {item.suggestions.length > 0 && (
              <div className="row small">
                <span className="muted">Like</span>
                {item.suggestions.map((one) => (
                  <button key={`${one.from} ${one.to}`} type="button" className="button chip" title={`“${one.from}” becomes “${one.to}”`} onClick={() => setTo(one.to)}>
                    {one.likeness === "FROM" ? one.from : one.to}: {one.to}
                  </button>
                ))}
              </div>
            )}
            <FormErrors act={act} />
          </form>
        ) : (
          <div className="stack tight">
            <div>
              <button type="button" className="button" disabled={make.isBusy} onClick={() => make.run({ name: item.table, kind: "CODES", inverts: false })}>
                Make the table “{item.table}”
              </button>
            </div>
            <FormErrors act={make} />
          </div>
        )}
      </td>
    </tr>
  );
}
