// Plays customers: fills carts through the Store API and pays; then plays the shop's staff through the Admin API.
//
//   node checkout.mjs <base URL> <seed JSON or a file with it> [count = 40] [random seed = 1]
//
// One JSON line per order and per act on stdout. The same random seed makes the same orders, whatever order they end in.
import { readFileSync } from "node:fs";

const CONCURRENCY = 4;
const TIMEOUT_MS = 30_000;
const COUNT_MAX = 10_000;
// Every so many orders one that the destination cannot take: a SKU that it does not know, and an item that has none.
const TROUBLE_EVERY = 20;
const UNKNOWN_SKU_AT = 6;
const NO_SKU_AT = 12;

const PEOPLE = [
  ["Zoë", "Ångström"],
  ["José María", "Núñez-O’Brien"],
  ["محمد", "الأحمد"],
  ["נועה", "כהן"],
  ["太郎", "山田"],
  ["Łukasz", "Żółć"],
  ["Nguyễn", "Thị Ánh"],
  ["D'Arcy", "Smith & Sons"],
  ["😀 Emoji", "Tester"],
  ["Ada", "Lovelace"],
];

const PLACES = {
  us: [
    { address_1: "350 Fifth Ave", address_2: "Floor 34, \"Suite 7\"", city: "New York", province: "us-ny", postal_code: "10118" },
    { address_1: "233 S Wacker Dr", city: "Chicago", province: "us-il", postal_code: "60606" },
    { address_1: "1 SW Columbia St", city: "Portland", province: "us-or", postal_code: "97258" },
    { address_1: "700 Clark Ave", city: "St. Louis", province: "us-mo", postal_code: "63102-1234" },
  ],
  ca: [
    { address_1: "1000 rue De La Gauchetière O", city: "Montréal", province: "ca-qc", postal_code: "H3B 4W5" },
    { address_1: "290 Bremner Blvd", city: "Toronto", province: "ca-on", postal_code: "M5V 3L9" },
  ],
  de: [
    { address_1: "Königstraße 1–3", city: "Düsseldorf", postal_code: "40212", company: "Müller & Söhne GmbH" },
    { address_1: "Am Säulengang 7", address_2: "3. OG links", city: "Görlitz", postal_code: "02826" },
  ],
  fr: [{ address_1: "12 bis, rue de l’Église", city: "Besançon", postal_code: "25000" }],
  jp: [
    { address_1: "丸の内1-9-1", city: "東京都千代田区", province: "jp-13", postal_code: "100-0005" },
    { address_1: "梅田3丁目1番1号", city: "大阪市北区", province: "jp-27", postal_code: "530-0001" },
  ],
};

const FIXED_PROMOTION = { usd: "FIVEOFFUSD", eur: "FIVEOFFEUR", jpy: "FIVEHUNDREDOFFJPY" };

async function main() {
  const [base, seedArgument, countArgument = "40", randomArgument = "1"] = process.argv.slice(2);
  if (!base || !seedArgument) throw new Error("usage: node checkout.mjs <base URL> <seed JSON or file> [count] [random seed]");
  const count = whole(countArgument, "count", 1, COUNT_MAX);
  const random = whole(randomArgument, "random seed", 0, 2 ** 31 - 1);
  const seed = JSON.parse((seedArgument.includes("{") ? seedArgument : readFileSync(seedArgument, "utf8")).replace(/^CROSSDOCK_SEED /, ""));
  const shop = client(base, { "x-publishable-api-key": seed.publishable_key });
  const staff = client(base, { authorization: `Basic ${Buffer.from(`${seed.secret_key}:`).toString("base64")}` });

  const orders = new Array(count);
  await inParallel(count, async (n) => {
    orders[n] = await buy(shop, plan(seed, n, random));
    print(orders[n]);
  });
  // One act at a time: some of them touch the same order, and which comes first matters.
  for (const [n, name, act] of ACTS) if (n < count) print({ act: name, id: orders[n].id, ...(await act(staff, orders[n].id, seed)) });
}

// What customer number n wants; it depends on n and the random seed alone, as the seed lists everything in a fixed order.
function plan(seed, n, random) {
  // Multiplied first: neighbours that start near each other would choose alike.
  const rng = generator(Math.imul(random * COUNT_MAX + n + 1, 0x9e3779b1));
  const pick = (list) => list[Math.floor(rng() * list.length)];
  const currency = pick(["usd", "usd", "eur", "eur", "jpy"]);
  const region = seed.regions.find(({ currency_code }) => currency_code === currency);
  const country = pick(region.countries);
  const [first_name, last_name] = pick(PEOPLE);
  const address = { first_name, last_name, country_code: country, ...pick(PLACES[country]), ...(rng() < 0.5 && { phone: "+1 (555) 010-9999" }) };

  const plain = seed.variants.filter(({ sku }) => sku && !seed.unknown_skus.includes(sku));
  const wanted = new Map();
  for (let lines = 1 + Math.floor(rng() * 4); lines > 0; lines -= 1) {
    const variant = pick(plain);
    // Screws, stickers and wire are bought by the handful, which makes their fractions of a cent add up.
    wanted.set(variant, /^(SCREW|STICKER|WIRE)/.test(variant.sku) ? 1 + Math.floor(rng() * 150) : 1 + Math.floor(rng() * 3));
  }
  if (n % TROUBLE_EVERY === UNKNOWN_SKU_AT) wanted.set(seed.variants.find(({ sku }) => sku === seed.unknown_skus[0]), 1);
  if (n % TROUBLE_EVERY === NO_SKU_AT) wanted.set(seed.variants.find(({ sku }) => !sku), 1);

  const promotions = [];
  if (rng() < 0.35) promotions.push("TENPERCENT");
  if (rng() < 0.2) promotions.push(FIXED_PROMOTION[region.currency_code]);
  if (rng() < 0.15) promotions.push("FREESHIP");
  return {
    n,
    region,
    address,
    email: `Customer.${n}+${random}@Example.com`,
    items: [...wanted].map(([variant, quantity]) => ({ variant, quantity })),
    shipping: pick(["standard", "standard", "express", "pickup"]),
    promotions,
    own_billing_address: rng() < 0.3,
    // Whether the destination can take it.
    takes: [...wanted.keys()].every(({ sku }) => sku && !seed.unknown_skus.includes(sku)),
  };
}

async function buy(shop, { n, region, address, email, items, shipping, promotions, own_billing_address, takes }) {
  const billing_address = own_billing_address ? { ...address, company: "Accounts payable, Ltd.", address_2: "c/o Buchhaltung" } : address;
  const lines = items.map(({ variant, quantity }) => ({ variant_id: variant.id, quantity }));
  const { cart } = await shop.post("/store/carts", { region_id: region.id, email, shipping_address: address, billing_address, items: lines });
  const path = `/store/carts/${cart.id}`;
  await shop.post(`${path}/shipping-methods`, { option_id: region.shipping_options[shipping] });
  if (promotions.length > 0) await shop.post(`${path}/promotions`, { promo_codes: promotions });
  const { payment_collection } = await shop.post("/store/payment-collections", { cart_id: cart.id });
  await shop.post(`/store/payment-collections/${payment_collection.id}/payment-sessions`, { provider_id: "pp_system_default" });
  const done = await shop.post(`${path}/complete`, {});
  if (done.type !== "order") throw new Error(`order ${n} was not placed: ${JSON.stringify(done.error ?? done).slice(0, 500)}`);
  const { order } = done;
  return {
    n,
    id: order.id,
    display_id: order.display_id,
    currency: order.currency_code,
    total: order.total,
    country: address.country_code,
    shipping,
    promotions,
    skus: items.map(({ variant }) => variant.sku),
    takes,
  };
}

// What the staff does to which order, in this order.
const ACTS = [
  [1, "email", (staff, id) => change(staff, id, { email: "corrected.address@example.com" })],
  [2, "address", moveNextDoor],
  [3, "cancel", (staff, id) => cancel(staff, id)],
  [5, "capture", capture],
  [5, "cancel", (staff, id) => cancel(staff, id)],
  [0, "capture", capture],
  [4, "capture", capture],
  [8, "capture", capture],
  [8, "refund", refundOne],
  [4, "fulfil", fulfilAll],
  [4, "ship", shipAll],
  [7, "edit", oneMoreOfEach],
];

async function change(staff, id, changes) {
  await staff.post(`/admin/orders/${id}`, changes);
  return changes;
}

async function moveNextDoor(staff, id) {
  const { order } = await staff.get(`/admin/orders/${id}?fields=id,*shipping_address`);
  const { first_name, last_name, address_1, city, province, postal_code, country_code } = order.shipping_address;
  const address = { first_name, last_name, address_1, city, province: province ?? undefined, postal_code, country_code };
  await staff.post(`/admin/orders/${id}`, { shipping_address: { ...address, address_2: "next door ➡" } });
  return {};
}

async function cancel(staff, id) {
  const { order } = await staff.post(`/admin/orders/${id}/cancel`, {});
  return { status: order.status };
}

async function capture(staff, id) {
  const payment = await paymentOf(staff, id);
  await staff.post(`/admin/payments/${payment.id}/capture`, {});
  return { amount: payment.amount };
}

async function refundOne(staff, id) {
  const payment = await paymentOf(staff, id);
  await staff.post(`/admin/payments/${payment.id}/refund`, { amount: 1, note: "Kulanz – scratched" });
  return { amount: 1 };
}

async function fulfilAll(staff, id, { location_id }) {
  const { order } = await staff.get(`/admin/orders/${id}?fields=id,*items`);
  const items = order.items.map(({ id, quantity }) => ({ id, quantity }));
  await staff.post(`/admin/orders/${id}/fulfillments`, { location_id, items });
  return { items: items.length };
}

async function shipAll(staff, id) {
  const { order } = await staff.get(`/admin/orders/${id}?fields=id,*items,fulfillments.id`);
  const items = order.items.map(({ id, quantity }) => ({ id, quantity }));
  const labels = [{ tracking_number: "1Z999AA10123456784", tracking_url: "https://example.com/1Z999AA10123456784", label_url: "https://example.com/label" }];
  await staff.post(`/admin/orders/${id}/fulfillments/${order.fulfillments[0].id}/shipments`, { items, labels });
  return { items: items.length };
}

async function oneMoreOfEach(staff, id) {
  const { order } = await staff.get(`/admin/orders/${id}?fields=id,*items`);
  await staff.post("/admin/order-edits", { order_id: id });
  for (const item of order.items) await staff.post(`/admin/order-edits/${id}/items/item/${item.id}`, { quantity: item.quantity + 1 });
  await staff.post(`/admin/order-edits/${id}/confirm`, {});
  return { items: order.items.length };
}

async function paymentOf(staff, id) {
  const { order } = await staff.get(`/admin/orders/${id}?fields=id,*payment_collections.payments`);
  const payment = order.payment_collections[0]?.payments[0];
  if (!payment) throw new Error(`order ${id} has no payment`);
  return payment;
}

function client(base, headers) {
  const call = async (method, path, body) => {
    const response = await fetch(`${base.replace(/\/+$/, "")}${path}`, {
      method,
      headers: { ...headers, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`);
    return JSON.parse(text);
  };
  return { get: (path) => call("GET", path), post: (path, body) => call("POST", path, body) };
}

async function inParallel(count, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, count) }, worker));
}

// mulberry32: small, and the same on every machine.
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function whole(text, name, least, most) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < least || number > most) throw new Error(`${name} is a whole number from ${least} to ${most}, not "${text}"`);
  return number;
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

main().catch((error) => {
  process.stderr.write(`checkout failed: ${error.message}${error.cause ? `: ${error.cause.message}` : ""}\n`);
  process.exitCode = 1;
});
