// What is the stock, who sells it, and what is kept back. Setting it reads all levels and adds everything up anew.
import { useState } from "react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Loading, Problem } from "../ui/state";
import { InventoryPolicyDocument, InventoryPolicySetDocument, type InventoryPolicyQuery } from "./query.generated";
import { locationsOf } from "./quantity";

type Policy = InventoryPolicyQuery["inventoryPolicy"];
type Connections = InventoryPolicyQuery["connections"]["nodes"];
const SIDE_MAX = 50;

interface Row {
  key: number;
  connectionId: string;
  locations: string;
  buffer: string;
  bufferPercent: string;
}

export function InventoryPolicyPage() {
  const tenant = useTenant();
  // Asked for once: what somebody writes must not change under them.
  const asked = useAsk(InventoryPolicyDocument, {});
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/inventory" params={{ tenant }}>
          Inventory
        </Link>
      </p>
      <div className="head">
        <div>
          <h1>Stock, sellers and what is kept back</h1>
          <p>A seller may offer what is free, less the safety stock, less its buffer. A connection may be both, such as a shop from whose stock a marketplace sells.</p>
        </div>
      </div>
      <Permitted to="read" otherwise="Your role does not see the inventory" advice="Ask an owner or admin for another role.">
        {asked.error && !asked.data ? <Problem error={asked.error} retry={() => void asked.refetch()} /> : asked.data ? <Form policy={asked.data.inventoryPolicy ?? null} connections={asked.data.connections.nodes} /> : <Loading what="the policy" />}
      </Permitted>
    </div>
  );
}

let lastKey = 0;
const row = (connectionId: string, locations: readonly string[] = [], buffer = "0", bufferPercent = "0"): Row => ({ key: ++lastKey, connectionId, locations: locations.join(", "), buffer, bufferPercent });

function Form({ policy, connections }: { policy: Policy; connections: Connections }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const mayChange = useMay()("configure");
  const [stock, setStock] = useState<Row[]>(() => policy?.stock.map((one) => row(one.connectionId, one.locations)) ?? []);
  const [sellers, setSellers] = useState<Row[]>(() => policy?.sellers.map((one) => row(one.connectionId, one.locations, one.buffer, one.bufferPercent)) ?? []);
  // What Crossdock itself says to sellers is neither stock nor seller.
  const own = new Set(policy?.sellers.map((one) => one.throughConnectionId));
  const choices = connections.filter((one) => !own.has(one.id));
  const act = useFormAct(InventoryPolicySetDocument, (result) => result.inventoryPolicySet, () => "The policy is kept, and everything is added up anew.", () => void navigate({ to: "/t/$tenant/inventory", params: { tenant } }));
  const gone = policy?.sellers.filter((one) => !sellers.some((seller) => seller.connectionId === one.connectionId)) ?? [];
  const nameOf = (id: string) => connections.find((one) => one.id === id)?.name ?? id;
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        act.run({
          input: {
            stock: stock.map(({ connectionId, locations }) => ({ connectionId, locations: locationsOf(locations) })),
            sellers: sellers.map(({ connectionId, locations, buffer, bufferPercent }) => ({ connectionId, locations: locationsOf(locations), buffer: buffer.trim() || "0", bufferPercent: bufferPercent.trim() || "0" })),
            safetyStock: String(form.get("safetyStock")).trim() || "0",
            graceS: Number(form.get("graceS")),
          },
        });
      }}
    >
      <FormErrors act={act} fields={["stock", "sellers", "safetyStock", "graceS"]} />
      <fieldset className="plain stack" disabled={!mayChange}>
        <Side title="The stock" about="Their inventory levels say what is there: a warehouse, an ERP, a 3PL." rows={stock} set={setStock} choices={choices} wrong={act.wrong("stock")} add="Add to the stock" />
        <Side title="Sellers" about="They offer it: shops, marketplaces. One that is new gets a connection of its own, “Stock for …”, whose inventory levels say what it may offer; a flow from there keeps its offers right." rows={sellers} set={setSellers} choices={choices} wrong={act.wrong("sellers")} add="Add a seller" hasBuffer />
        <section className="panel stack">
          <h2>For all of them</h2>
          <Field label="Safety stock" help="Kept back from everybody, of each item: 2 or 2.5. Of a single item it is said at the item." wrong={act.wrong("safetyStock")}>
            {(props) => <input {...props} name="safetyStock" inputMode="decimal" defaultValue={policy?.safetyStock ?? "0"} autoComplete="off" style={{ maxWidth: 140 }} />}
          </Field>
          <Field label="Seconds that a seller may offer too much" help="0 to 86,400. A write to a seller takes a moment; after that it is an exception." wrong={act.wrong("graceS")}>
            {(props) => <input {...props} name="graceS" type="number" min={0} max={86_400} step={1} required defaultValue={policy?.graceS ?? 120} style={{ maxWidth: 140 }} />}
          </Field>
        </section>
      </fieldset>
      {gone.length > 0 && <p className="note warn">{gone.map((one) => nameOf(one.connectionId)).join(", ")}: nobody tells them any more what they may offer, and what they offer is not looked at.</p>}
      {mayChange ? (
        <div className="row">
          <button type="submit" className="button main-act" disabled={act.isBusy || stock.length === 0}>
            {act.isBusy ? "Working…" : "Keep the policy"}
          </button>
          <Link className="button" to="/t/$tenant/inventory" params={{ tenant }}>
            Cancel
          </Link>
          {stock.length === 0 && <span className="muted">Name one connection as the stock first.</span>}
        </div>
      ) : (
        <p className="muted">Owners, admins and developers change it.</p>
      )}
    </form>
  );
}

interface SideProps {
  title: string;
  about: string;
  rows: Row[];
  set: (rows: Row[]) => void;
  choices: Connections;
  wrong: string | null;
  add: string;
  hasBuffer?: boolean;
}

function Side({ title, about, rows, set, choices, wrong, add, hasBuffer = false }: SideProps) {
  const free = choices.filter((one) => !rows.some((row) => row.connectionId === one.id));
  const change = (key: number, part: Partial<Row>) => set(rows.map((one) => (one.key === key ? { ...one, ...part } : one)));
  const nameOf = (id: string) => choices.find((one) => one.id === id)?.name ?? "a connection that is gone";
  return (
    <section className="panel stack" aria-label={title}>
      <div>
        <h2>{title}</h2>
        <p className="muted">{about}</p>
      </div>
      {wrong && (
        <p className="note bad" role="alert">
          {wrong}
        </p>
      )}
      {rows.map((one) => (
        <div key={one.key} className="stack tight">
          <div className="row apart">
            <h3>{nameOf(one.connectionId)}</h3>
            <button type="button" className="button quiet" aria-label={`Take away ${nameOf(one.connectionId)}`} onClick={() => set(rows.filter((other) => other.key !== one.key))}>
              Take away
            </button>
          </div>
          <div className="cards even">
            <Field label={hasBuffer ? "Sells from these places only" : "These places only"} help="Codes or ids, with commas. Empty: all.">
              {(props) => <input {...props} value={one.locations} onChange={(event) => change(one.key, { locations: event.target.value })} autoComplete="off" spellCheck={false} />}
            </Field>
            {hasBuffer && (
              <>
                <Field label="Buffer" help="Held back from it, of each item">
                  {(props) => <input {...props} inputMode="decimal" value={one.buffer} onChange={(event) => change(one.key, { buffer: event.target.value })} autoComplete="off" />}
                </Field>
                <Field label="Buffer in percent" help="Of what is free; the larger of both counts">
                  {(props) => <input {...props} inputMode="decimal" value={one.bufferPercent} onChange={(event) => change(one.key, { bufferPercent: event.target.value })} autoComplete="off" />}
                </Field>
              </>
            )}
          </div>
        </div>
      ))}
      {free.length > 0 && rows.length < SIDE_MAX && (
        <Field label={add}>
          {(props) => (
            <select {...props} value="" onChange={(event) => event.target.value && set([...rows, row(event.target.value)])} style={{ maxWidth: 320 }}>
              <option value="">Choose a connection</option>
              {free.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.name}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      {choices.length === 0 && <p className="muted">Nothing is connected yet: connect a system first.</p>}
    </section>
  );
}
