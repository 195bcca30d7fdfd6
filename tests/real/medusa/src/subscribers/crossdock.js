// Tells Crossdock that something happened to an order. Copy this file into your shop's src/subscribers folder and set
// CROSSDOCK_HOOK_URL and CROSSDOCK_HOOK_SECRET; without them it does nothing.
//
// Only the order's id leaves the shop. Crossdock reads the order back through the Admin API, so a hook that arrives late, twice or
// in another order than it was sent does no harm.
const { createHmac, randomUUID } = require("node:crypto");

const TIMEOUT_MS = 5_000;
const TRIES_MAX = 8;
const BACKOFF_MS = 500; // Doubles with each try: 0.5 s, 1 s, 2 s … 32 s, together 64 s.
const UNDER_WAY_MAX = 500; // While Crossdock is away, more than these would only fill the shop's memory.

// Where an event carries the order's id, or how to find it: payments and parcels do not say which order they belong to.
const ORDER_ID = {
  "order.placed": ({ id }) => id,
  "order.updated": ({ id }) => id,
  "order.completed": ({ id }) => id,
  "order.archived": ({ id }) => id,
  "order.canceled": ({ id }) => id,
  "order.fulfillment_created": ({ order_id }) => order_id,
  "order.fulfillment_canceled": ({ order_id }) => order_id,
  "order.return_received": ({ order_id }) => order_id,
  "order.claim_created": ({ order_id }) => order_id,
  "order.exchange_created": ({ order_id }) => order_id,
  "order-edit.confirmed": ({ order_id }) => order_id,
  "shipment.created": orderOfFulfillment,
  "delivery.created": orderOfFulfillment,
  "payment.captured": orderOfPayment,
  "payment.refunded": orderOfPayment,
};

let underWay = 0;

// Medusa waits for this function and so may hold up its other events; it therefore only starts the hook and returns.
async function tellCrossdock({ event, container }) {
  const { CROSSDOCK_HOOK_URL: url, CROSSDOCK_HOOK_SECRET: secret } = process.env;
  if (!url || !secret) return;
  const logger = container.resolve("logger");
  if (underWay >= UNDER_WAY_MAX) {
    logger.error(`Crossdock was not told of ${event.name} ${JSON.stringify(event.data?.id)}: ${UNDER_WAY_MAX} hooks are under way already`);
    return;
  }
  underWay += 1;
  deliver({ event, container, url, secret })
    .catch((error) => logger.error(`Crossdock was not told of ${event.name}: ${reason(error)}`))
    .finally(() => (underWay -= 1));
}

async function deliver({ event, container, url, secret }) {
  const id = await ORDER_ID[event.name](event.data, container);
  // A payment of something that is no order, such as a draft, is not our business.
  if (!id) return;
  // Signed once and sent unchanged, so that every try has the same bytes, the same signature and the same delivery id.
  const body = JSON.stringify({ event: event.name, id });
  const headers = {
    "Content-Type": "application/json",
    "X-Medusa-Event": event.name,
    "X-Medusa-Delivery": randomUUID(),
    "X-Medusa-Signature": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
  };
  let problem;
  for (let attempt = 1; attempt <= TRIES_MAX; attempt += 1) {
    if (attempt > 1) await pause(BACKOFF_MS * 2 ** (attempt - 2));
    problem = await post(url, headers, body);
    if (!problem) return;
  }
  throw new Error(`${id} after ${TRIES_MAX} tries, the last: ${problem}`);
}

// Nothing if Crossdock has taken the hook, otherwise what went wrong.
async function post(url, headers, body) {
  try {
    // A redirect would carry the signed body to a host that nobody entrusted with it.
    const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
    // An unread body keeps the connection busy until the garbage collector comes by.
    await response.body?.cancel();
    return response.ok ? undefined : `status ${response.status}`;
  } catch (error) {
    return reason(error);
  }
}

async function orderOfPayment({ id }, container) {
  const payment = await find(container, "payment", id, "payment_collection.order.id");
  return payment?.payment_collection?.order?.id;
}

async function orderOfFulfillment({ id }, container) {
  const fulfillment = await find(container, "fulfillment", id, "order.id");
  return fulfillment?.order?.id;
}

async function find(container, entity, id, field) {
  const { data } = await container.resolve("query").graph({ entity, fields: ["id", field], filters: { id } });
  return data[0];
}

// Up to a fifth longer, so that hooks that failed together do not come back together.
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms * (1 + Math.random() / 5)));
}

// fetch says only "fetch failed"; why stands in the cause.
function reason(error) {
  return error?.cause?.message || error?.cause?.code || error?.message || String(error);
}

module.exports = {
  default: tellCrossdock,
  config: { event: Object.keys(ORDER_ID), context: { subscriberId: "crossdock" } },
};
