// What the API says of a provider and of domains, in the words of this page: its messages name calls of its own, where people have buttons.
import type { EmailDomainsQuery, IdentityProviderTestMutation } from "./query.generated";

type Finding = IdentityProviderTestMutation["identityProviderTest"]["findings"][number];
type Domain = EmailDomainsQuery["emailDomains"][number];
export type Step = Finding["step"];

/** What a check looks at, in its order. */
export const STEPS: Record<Step, string> = {
  DISCOVERY: "It is found",
  KEYS: "Its signatures can be checked",
  CLIENT: "It knows Crossdock",
  GROUPS: "It says who is in which group",
  EMAIL: "It vouches for addresses",
};
export const STEP_ORDER = Object.keys(STEPS) as Step[];

/** What to do about a step that went wrong, or that only a sign-in can tell. */
export const ADVICE: Record<Step, string> = {
  DISCOVERY: "Compare the issuer with what the provider shows, to the last slash. Its address has to be reached from here, without a redirect.",
  KEYS: "Let the provider sign for this client with RS256, ES256 or EdDSA.",
  CLIENT: "Copy the client id and a new secret from the provider, and enter the redirect address there as it stands on this page.",
  GROUPS: "Add a claim with the groups to what the provider sends to this client, or name the claim that it sends here.",
  EMAIL: "Sign in once by it in another browser. Whoever is refused is told why, and the audit log says it too.",
};

interface Advice {
  text: string;
  /** Where it is done: one’s own second factor, or the part of this page. */
  at: "account" | "provider" | "domains" | "directory" | null;
}

/** By the beginning of what the API says, what to do next, where its own words end with the name of a call. */
const NEXT: readonly [string, Advice][] = [
  ["it is enforced for domains", { text: "Press “Let go” beside each domain that must sign in by it, then remove the provider.", at: "domains" }],
  ["there is no provider", { text: "Set it up above first.", at: "provider" }],
  ["give the client's secret", { text: "Issuer or client are others now: copy the secret of that client from the provider.", at: null }],
  ["this installation sends no mail", { text: "Without mail no domain can be proven. People still sign in, whose address has no account here yet.", at: null }],
  ["a code was mailed there within the last ten minutes", { text: "Look in the mailbox, in its spam folder too. A new code ends the one before.", at: null }],
  ["its table says what the groups of your directory give", { text: "Revoke its tokens first; then nobody comes or goes by the directory any more.", at: "directory" }],
  ["this is not the code that was mailed there last", { text: "Copy the whole code out of the newest mail, or let another be mailed.", at: null }],
  ["it is enforced; let it go first", { text: "Press “Let go” beside it first.", at: null }],
  ["a code was mailed there within the hour", { text: "It can be taken away an hour after its last code was mailed.", at: null }],
  ["prove first that the domain is yours", { text: "Press “Mail a code” beside it, then enter what came.", at: null }],
  ["set the identity provider first", { text: "Set it up under “Single sign-on”, with the groups of your directory.", at: "provider" }],
  ["set the provider first", { text: "Set it up above, and test it.", at: "provider" }],
  ["nobody could get in where the provider does not answer", { text: "An owner sets one up under “Your account”.", at: "account" }],
  ["an owner with an address there could not get in any more", { text: "Each owner does so under “Your account”.", at: "account" }],
];

/** Names of calls, as the API puts them in brackets or at the end: no button is called so. */
const CALLS = / \((?:[a-z]+[A-Z]\w*(?:, )?)+\)|(?:; (?:set|add) (?:one|it) with) [a-z]+[A-Z]\w*|; `\w+` lists them/g;

/** What the API said, without the names of its calls. */
export function plain(message: string): string {
  return message.replace(CALLS, "");
}

export function adviceOn(message: string): Advice | null {
  return NEXT.find(([beginning]) => message.startsWith(beginning))?.[1] ?? null;
}

export type DomainState = "added" | "mailed" | "proven" | "enforced";

/** By what was done about it, whatever became of a mail. */
export function stateOf(domain: Omit<Domain, "mailFailure">): DomainState {
  if (domain.enforcedAt) return "enforced";
  if (domain.provenAt) return "proven";
  return domain.mailedAt ? "mailed" : "added";
}

/** `email profile` as the API takes scopes; undefined where nothing is said, so that its own count. */
export function scopesOf(text: string): string[] | undefined {
  const scopes = text.split(/[\s,]+/).filter((scope) => scope !== "" && scope !== "openid");
  return scopes.length > 0 ? scopes : undefined;
}
