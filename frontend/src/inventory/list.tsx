// Inventory: what there is of each item over all connections, what open orders have reserved of it, and whether a seller offers what is not there.
import { useState } from "react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useAsk, usePages, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { useKeys } from "../ui/keys";
import { Asked, Empty, LoadMore, Loading, Problem } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { useTyped } from "../ui/typed";
import { ItemDialog } from "./item";
import { InventoryItemsDocument, InventoryPolicyDocument, type InventoryItemsQuery, type InventoryPolicyQuery } from "./query.generated";
import { compare } from "./quantity";

export type Item = InventoryItemsQuery["inventoryItems"]["nodes"][number];
type Policy = NonNullable<InventoryPolicyQuery["inventoryPolicy"]>;
/** Of an item of which no stock says anything nobody knows what is there, and no seller is told of it. */
export const isKnown = (item: Item) => item.places.length > 0;

export type NameOf = (connectionId: string) => string;
const EVERY_MS = 10_000;

export function Inventory() {
  return (
    <Permitted isPage to="read" otherwise="Your role does not see the inventory" advice="It sees what is billed. Ask an owner or admin for another role.">
      <Page />
    </Permitted>
  );
}

function Page() {
  const tenant = useTenant();
  const may = useMay();
  const asked = useAsk(InventoryPolicyDocument, {}, { everyMs: 60_000 });
  const policy = asked.data?.inventoryPolicy;
  const nameOf: NameOf = (id) => asked.data?.connections.nodes.find((one) => one.id === id)?.name ?? "a connection";
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Inventory</h1>
          <p>What there is of each item over all connections, what open orders have reserved, and what each seller may offer. A seller that offers more than there is becomes an exception before it sells it.</p>
        </div>
        {policy && (
          <Link className="button" to="/t/$tenant/inventory/policy" params={{ tenant }}>
            {may("configure") ? "Stock, sellers and what is kept back" : "See the policy"}
          </Link>
        )}
      </div>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data ? (
        <Loading what="the inventory" />
      ) : policy ? (
        <>
          <Flows policy={policy} nameOf={nameOf} />
          <Items nameOf={nameOf} />
        </>
      ) : (
        <div className="panel">
          <Empty title="The stock is not set up yet">
            <p>Choose which connections know what is there (a warehouse, an ERP, a 3PL) and which sell it (shops, marketplaces). From then on each item is added up, and whoever offers more than is free becomes an exception.</p>
            {may("configure") ? (
              <Link className="button main-act" to="/t/$tenant/inventory/policy" params={{ tenant }}>
                Set up the stock
              </Link>
            ) : (
              <p>Owners, admins and developers do that.</p>
            )}
          </Empty>
        </div>
      )}
    </div>
  );
}

/** Nothing is written to a seller without a flow: said once, where the numbers are. */
function Flows({ policy, nameOf }: { policy: Policy; nameOf: NameOf }) {
  const tenant = useTenant();
  const through = policy.sellers.filter((seller) => seller.throughConnectionId);
  if (through.length === 0) return null;
  return (
    <p className="muted small">
      What a seller may offer is said by a connection of its own ({through.map((seller) => nameOf(seller.throughConnectionId ?? "")).join(", ")}). To keep its offers right, make a <Link to="/t/$tenant/flows/new" params={{ tenant }}>flow of inventory levels</Link> from there to the seller; without one nothing is written to it.
    </p>
  );
}

function Items({ nameOf }: { nameOf: NameOf }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/inventory" });
  const [isAtRisk, sku] = [search.risk === "yes", search.sku ?? ""];
  const asked = usePages(InventoryItemsDocument, { sku: sku || null, atRisk: isAtRisk, first: 30 }, (result) => result.inventoryItems, { everyMs: EVERY_MS });
  const rows = asked.rows;
  const [chosen, setChosen] = useState<string | null>(null);
  const focused = rows.length > 0 ? Math.max(0, rows.findIndex((one) => one.sku === chosen)) : -1;
  const narrow = (change: Partial<typeof search>) => void navigate({ to: "/t/$tenant/inventory", params: { tenant }, search: (now) => ({ ...now, ...change }), replace: true });
  const type = useTyped((text) => narrow({ sku: text || undefined }));
  const open = (item: string | undefined) => {
    if (item) setChosen(item);
    narrow({ item });
  };
  const move = (by: number) => setChosen(rows[Math.min(rows.length - 1, Math.max(0, focused + by))]?.sku ?? null);
  useKeys([
    { key: "j", label: "Next item", act: () => move(1) },
    { key: "k", label: "Item before", act: () => move(-1) },
    { key: "Enter", label: "Open the item", act: () => rows[focused] && open(rows[focused].sku) },
    { key: "/", label: "Search items", act: () => document.getElementById("find-sku")?.focus() },
  ]);
  const columns: Column<Item>[] = [
    {
      header: "Item",
      cell: ({ row: { original: item } }) => (
        <>
          <button type="button" className="link mono" onClick={() => open(item.sku)}>
            {item.sku}
          </button>
          {item.riskSince && (
            <p className="small">
              <Badge tone="bad">at risk</Badge> <Time at={item.riskSince} as="ago" />
            </p>
          )}
        </>
      ),
    },
    { header: "There", meta: NUMBERS, cell: ({ row }) => (isKnown(row.original) ? row.original.there : <span className="muted nowrap usual">no stock says</span>) },
    { header: "Reserved", meta: NUMBERS, cell: ({ row }) => <span className={compare(row.original.reserved, "0") === 0 ? "usual" : undefined}>{row.original.reserved}</span> },
    { header: "Free", meta: NUMBERS, cell: ({ row }) => (isKnown(row.original) ? <strong className={compare(row.original.free, "0") < 0 ? "bad-text" : undefined}>{row.original.free}</strong> : <span className="muted nowrap usual">not known</span>) },
    { header: "Kept back", meta: NUMBERS, cell: ({ row }) => row.original.safetyStock },
    {
      header: "Sellers",
      cell: ({ row: { original: item } }) =>
        !isKnown(item) ? (
          <span className="muted nowrap usual">are told nothing of it</span>
        ) : (
        <ul className="small">
          {item.sellers.map((seller) => (
            <li key={seller.connectionId}>
              {nameOf(seller.connectionId)} may offer <strong className="num">{seller.mayOffer}</strong>
              {seller.offers != null && (
                <>
                  , offers <strong className="num">{seller.offers}</strong> {compare(seller.offers, seller.free) > 0 && <Badge tone="bad">too much</Badge>}
                </>
              )}
            </li>
          ))}
        </ul>
      ),
    },
  ];
  return (
    <>
      <div className="row" role="search">
        <label className="hidden-label" htmlFor="find-sku">
          Search by SKU
        </label>
        <input id="find-sku" type="search" placeholder="An SKU begins with…" style={{ maxWidth: 280 }} defaultValue={sku} onChange={(event) => type(event.target.value)} autoComplete="off" spellCheck={false} />
        <label className="row">
          <input type="checkbox" checked={isAtRisk} onChange={(event) => narrow({ risk: event.target.checked ? "yes" : undefined })} />
          At risk only
        </label>
      </div>
      <Asked of={asked} what="items">
        <section className="panel flush">
          {rows.length === 0 ? (
            <Empty title={sku ? `No SKU begins with “${sku}”${isAtRisk ? " and is at risk" : ""}` : isAtRisk ? "Nothing is at risk" : "No item is known yet"}>
              <p>{isAtRisk ? "No seller offers more than is free, and no more was sold than is there." : "Items come with the inventory levels and orders of the connections that the policy names."}</p>
            </Empty>
          ) : (
            <Table label="Items" columns={columns} rows={rows} idOf={(item) => item.sku} focused={focused} currentId={search.item} onSeenEnd={asked.more} />
          )}
        </section>
      </Asked>
      <LoadMore of={asked} what="items" />
      {search.item && <ItemDialog sku={search.item} known={rows.find((one) => one.sku === search.item)} nameOf={nameOf} close={() => open(undefined)} />}
    </>
  );
}
