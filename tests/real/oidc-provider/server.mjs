// A provider of OpenID Connect that we did not write. Whoever comes is signed in at once, as the person that the test named last: a line of JSON on standard
// input, which is answered. It ends when its standard input does.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const [redirectUri, clientId, clientSecret] = process.argv.slice(2);
let person = { sub: "nobody", email: "nobody@acme.example", email_verified: false, groups: [] };
const accounts = new Map();
const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
let callback = null;
let provider = null;

const server = createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return callback(request, response);
  finish(request, response).catch((error) => {
    console.error(error);
    response.statusCode = 500;
    response.end();
  });
});

/** Signs the person in, and says yes for them. */
async function finish(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    accounts.set(person.sub, person);
    return provider.interactionFinished(request, response, { login: { accountId: person.sub } }, { mergeWithLastSubmission: false });
  }
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(" "));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  provider = new Provider(url, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri], response_types: ["code"], grant_types: ["authorization_code"] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
    findAccount: (_, id) => ({ accountId: id, claims: () => accounts.get(id) ?? { sub: id } }),
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    cookies: { keys: [randomUUID()] },
    jwks: { keys: [{ ...key, kid: randomUUID(), use: "sig", alg: "RS256" }] },
  });
  callback = provider.callback();
  console.log(JSON.stringify({ url }));
});

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  person = JSON.parse(line);
  console.log(JSON.stringify({ answer: person.sub }));
});
lines.on("close", () => process.exit(0));
