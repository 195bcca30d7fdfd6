// A real OAuth 2 server on loopback. It reads one line of JSON, the clients, prints one line of JSON, its address, and ends with its input.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
const { clients } = JSON.parse((await once(lines, 'line'))[0]);
process.stdin.on('end', () => process.exit(0));
setTimeout(() => process.exit(1), 120_000).unref();

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients,
  scopes: ['openid', 'offline_access', 'orders.read', 'orders.write'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } },
  pkce: { required: () => true },
  cookies: { keys: ['only for this test'] },
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  ttl: { AccessToken: 600, ClientCredentials: 300, RefreshToken: 86_400, Grant: 86_400, Session: 600, Interaction: 600 },
  findAccount: async (_, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  // Whoever is signed in has consented to everything but to writing: a vendor may grant less than was asked.
  async loadExistingGrant(ctx) {
    const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid offline_access orders.read');
    grant.rejectOIDCScope('orders.write');
    await grant.save();
    return grant;
  },
});

server.on('request', async (request, response) => {
  if (!request.url.startsWith('/interaction/')) return provider.callback()(request, response);
  const { params } = await provider.interactionDetails(request, response);
  const result = params.login_hint === 'nobody'
    ? { error: 'access_denied', error_description: 'Ada said no' }
    : { login: { accountId: 'ada' }, consent: {} };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
});
process.stdout.write(`${JSON.stringify({ issuer })}\n`);
