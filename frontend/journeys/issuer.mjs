// An identity provider: OpenID Connect, as much of it as a sign-in by code takes. It holds to what a provider holds to: the client and its secret, the
// redirect address to the letter, PKCE, a code that is good once. Whoever is asked for is signed in there already.
import { createHash, createSign, generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";

export const CLIENT_ID = "crossdock";
export const CLIENT_SECRET = "what-only-the-two-know";
const LIFE_S = 300;

/** Starts one on a port of loopback; `person` may be changed at any time. */
export async function startIssuer(redirectUri, person) {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = { ...publicKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "first" };
  const codes = new Map();
  const issuer = { url: "", person, stop: () => new Promise((resolve) => server.close(resolve)) };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, issuer.url);
    const body = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
    const json = (status, value) => response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
    if (url.pathname === "/.well-known/openid-configuration") return json(200, discovery(issuer.url));
    if (url.pathname === "/keys") return json(200, { keys: [key] });
    if (url.pathname === "/authorize") {
      const said = Object.fromEntries(url.searchParams);
      if (said.client_id !== CLIENT_ID || said.redirect_uri !== redirectUri || said.code_challenge_method !== "S256") return json(400, { error: "invalid_request" });
      const code = randomUUID();
      codes.set(code, { challenge: said.code_challenge, nonce: said.nonce, person: issuer.person });
      const back = new URL(redirectUri);
      back.search = new URLSearchParams({ code, state: said.state, iss: issuer.url });
      return response.writeHead(302, { Location: back.href }).end();
    }
    if (url.pathname !== "/token") return json(404, {});
    if (request.headers.authorization !== `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString("base64")}`) return json(401, { error: "invalid_client", error_description: "the secret is another" });
    const issued = codes.get(body.get("code"));
    codes.delete(body.get("code"));
    const challenge = createHash("sha256").update(body.get("code_verifier") ?? "").digest("base64url");
    if (!issued || challenge !== issued.challenge) return json(400, { error: "invalid_grant" });
    const now = Math.floor(Date.now() / 1000);
    const { subject, ...claims } = issued.person;
    const token = [{ alg: "RS256", kid: key.kid, typ: "JWT" }, { ...claims, sub: subject, iss: issuer.url, aud: CLIENT_ID, nonce: issued.nonce, iat: now, exp: now + LIFE_S }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    const signature = createSign("RSA-SHA256").update(token).sign(privateKey, "base64url");
    return json(200, { access_token: randomUUID(), token_type: "Bearer", expires_in: LIFE_S, id_token: `${token}.${signature}` });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  issuer.url = `http://127.0.0.1:${server.address().port}`;
  return issuer;
}

function discovery(url) {
  return {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    jwks_uri: `${url}/keys`,
    response_types_supported: ["code"],
    code_challenge_methods_supported: ["S256"],
    id_token_signing_alg_values_supported: ["RS256"],
    token_endpoint_auth_methods_supported: ["client_secret_basic"],
    claims_supported: ["sub", "email", "email_verified", "groups"],
    authorization_response_iss_parameter_supported: true,
  };
}
