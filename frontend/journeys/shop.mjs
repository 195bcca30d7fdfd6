// The demo's shop, as a sender of signed webhooks: orders that stop for one reason or another, and one whose texts are markup.
import { createHmac, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";

// As the demo's own shop has them: tests/src/platform.rs.
const SECRET = "shop-client-secret";
const DOMAIN = "acme-demo.myshopify.com";

export const HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>';

/** An order like the first sample, with what differs. */
async function order(number, change) {
  const sample = JSON.parse(await readFile(new URL("../../tests/samples/shopify/01_plain.json", import.meta.url), "utf8"));
  const id = 7_000_000_000 + number;
  const made = { ...sample, id, admin_graphql_api_id: `gid://shopify/Order/${id}`, name: `#${number}`, order_number: number, number };
  made.line_items = made.line_items.map((line, index) => ({ ...line, id: id * 10 + index }));
  change(made);
  return made;
}

export async function send(hookUrl, number, change) {
  const body = JSON.stringify(await order(number, change));
  const answer = await fetch(hookUrl, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-Shopify-Topic": "orders/create",
      "X-Shopify-Shop-Domain": DOMAIN,
      "X-Shopify-Webhook-Id": randomUUID(),
      "X-Shopify-Hmac-Sha256": createHmac("sha256", SECRET).update(body).digest("base64"),
    },
    body,
  });
  if (!answer.ok) throw new Error(`the hook answered ${answer.status}: ${await answer.text()}`);
}

/** Orders with an SKU that no table knows. */
export const withSku = (sku) => (made) => {
  made.line_items[0].sku = sku;
};
