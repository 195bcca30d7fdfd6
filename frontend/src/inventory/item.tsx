// One item: where it lies, who reserves it, what each seller may offer and offers; and what is kept back of it in place of what the policy says.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { isKnown, type Item, type NameOf } from "./list";
import { compare } from "./quantity";
import { InventoryItemsDocument, InventoryKeptSetDocument } from "./query.generated";

export function ItemDialog({ sku, known, nameOf, close }: { sku: string; known: Item | undefined; nameOf: NameOf; close: () => void }) {
  const may = useMay();
  const asked = useAsk(InventoryItemsDocument, { sku, atRisk: false, first: 30 }, { isWanted: !known });
  const item = known ?? asked.data?.inventoryItems.nodes.find((one) => one.sku.toLowerCase() === sku.toLowerCase());
  return (
    <Dialog title={sku} open close={close}>
      {item ? (
        <>
          <Sums item={item} />
          <Places item={item} nameOf={nameOf} />
          <Orders item={item} />
          <Sellers item={item} nameOf={nameOf} />
          {may("configure") && <Kept item={item} nameOf={nameOf} />}
        </>
      ) : asked.error && !asked.data ? (
        <Problem error={asked.error} />
      ) : asked.data ? (
        <p>Nothing is known of this item: no stock and no order names it.</p>
      ) : (
        <Loading what="the item" />
      )}
      <div>
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Sums({ item }: { item: Item }) {
  const tenant = useTenant();
  return (
    <>
      {item.riskSince && (
        <p className="note bad">
          {compare(item.free, "0") < 0 ? "More was sold than is there" : "A seller offers more than is free"}, since <Time at={item.riskSince} />.{" "}
          <Link to="/t/$tenant/exceptions" params={{ tenant }} search={{ text: item.sku }}>
            Its exception
          </Link>{" "}
          says what to do.
        </p>
      )}
      <dl className="strip">
        {[
          ["There", isKnown(item) ? item.there : "no stock says"],
          ["Reserved", item.reserved],
          ["Free", isKnown(item) ? item.free : "not known"],
          ["Safety stock", item.safetyStock],
        ].map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd className="num">
              <strong>{value}</strong>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Places({ item, nameOf }: { item: Item; nameOf: NameOf }) {
  const tenant = useTenant();
  if (!isKnown(item)) return null;
  return (
    <section className="stack tight">
      <h3>Where it lies</h3>
      <ul className="stack tight">
        {item.places.map((place) => (
          <li key={`${place.recordId} ${place.location}`}>
            <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: place.recordId }}>
              {nameOf(place.connectionId)}
              {place.location && `, ${place.location}`}
            </Link>
            <span className="muted small">
              {" "}
              {place.onHand != null && `${place.onHand} on hand, `}
              {place.available != null && `${place.available} available, `}
              {place.committed != null && `${place.committed} committed, `}
              as of <Time at={place.asOf} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Orders({ item }: { item: Item }) {
  const tenant = useTenant();
  if (item.reservedBy.length === 0) return null;
  return (
    <section className="stack tight">
      <h3>Reserved by</h3>
      <ul className="row">
        {item.reservedBy.map((order) => (
          <li key={order.recordId}>
            <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: order.recordId }}>
              {order.number ?? "an order"}
            </Link>
            : <span className="num">{order.quantity}</span>
          </li>
        ))}
      </ul>
      {item.reservedBy.length >= 20 && <p className="muted small">The twenty largest.</p>}
    </section>
  );
}

function Sellers({ item, nameOf }: { item: Item; nameOf: NameOf }) {
  return (
    <section className="stack tight">
      <h3>Sellers</h3>
      {!isKnown(item) && item.sellers.length > 0 && <p className="muted">No stock says how much there is, so no seller is told anything of it. What is kept back counts once one does.</p>}
      {item.sellers.length === 0 && <p className="muted">The policy names none.</p>}
      <ul className="stack tight">
        {(isKnown(item) ? item.sellers : []).map((seller) => (
          <li key={seller.connectionId}>
            {nameOf(seller.connectionId)} may offer <strong className="num">{seller.mayOffer}</strong> of <span className="num">{seller.free}</span> that are free for it
            {seller.offers != null && (
              <>
                , and offers <strong className="num">{seller.offers}</strong> {compare(seller.offers, seller.free) > 0 && <Badge tone="bad">too much</Badge>}
              </>
            )}
            .
            <span className="muted small">
              {" "}
              Held back from it: {seller.buffer}. {seller.toldAt ? <>Last told {seller.told}, <Time at={seller.toldAt} as="ago" />.</> : "It was told nothing yet."}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Kept({ item, nameOf }: { item: Item; nameOf: NameOf }) {
  const [of, setOf] = useState("");
  const act = useFormAct(InventoryKeptSetDocument, (result) => result.inventoryKeptSet, () => "It is kept back so, and everything is added up anew.");
  const set = (quantity: string | null) => act.run({ input: [{ sku: item.sku, connectionId: of || null, quantity }] });
  return (
    <form
      className="stack tight"
      onSubmit={(event) => {
        event.preventDefault();
        set(String(new FormData(event.currentTarget).get("quantity")).trim());
      }}
    >
      <h3>Keep back of this item</h3>
      <FormErrors act={act} fields={["quantity"]} />
      <Field label="From whom">
        {(props) => (
          <select {...props} value={of} onChange={(event) => setOf(event.target.value)} style={{ maxWidth: "100%" }}>
            <option value="">everybody: its safety stock</option>
            {item.sellers.map((seller) => (
              <option key={seller.connectionId} value={seller.connectionId}>
                {nameOf(seller.connectionId)}: its buffer
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="How much" help="In place of what the policy says: 12 or 2.5" wrong={act.wrong("quantity")}>
        {(props) => <input {...props} name="quantity" inputMode="decimal" required autoComplete="off" style={{ maxWidth: 140 }} />}
      </Field>
      <div className="row">
        <button type="submit" className="button main-act" disabled={act.isBusy}>
          Keep it back
        </button>
        <button type="button" className="button" disabled={act.isBusy} onClick={() => set(null)}>
          As the policy says
        </button>
      </div>
    </form>
  );
}
