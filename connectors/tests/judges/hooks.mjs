// Asks vendors' own packages to sign a webhook, or to say whether a signature is good. A JSON list of questions in, one of answers out.
import { readFileSync } from "node:fs";
import { Webhooks } from "@octokit/webhooks";
import "@shopify/shopify-api/adapters/web-api";
import { LogSeverity, shopifyApi } from "@shopify/shopify-api";

async function octokit(q) {
  const webhooks = new Webhooks({ secret: q.secret });
  if (q.op === "sign") return { "X-Hub-Signature-256": await webhooks.sign(q.body) };
  return webhooks.verify(q.body, q.headers["x-hub-signature-256"]);
}

async function shopify(q) {
  const api = shopifyApi({
    apiKey: "key",
    apiSecretKey: q.secret,
    hostName: "us.example",
    apiVersion: "2026-07",
    isEmbeddedApp: false,
    logger: { level: LogSeverity.Error },
  });
  const rawRequest = new Request(q.url, { method: q.method, headers: q.headers, body: q.body });
  return (await api.webhooks.validate({ rawBody: q.body, rawRequest })).valid;
}

const judges = { octokit, shopify };
const answers = [];
for (const question of JSON.parse(readFileSync(0, "utf8"))) answers.push(await judges[question.judge](question));
process.stdout.write(JSON.stringify(answers));
