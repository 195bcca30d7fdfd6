// Signing in with one's company. The way leads through addresses of the api, which end here again with a word that says how it went: never with a text,
// so that no link can put one on our page.

/** What the words of domain/src/identity_provider.rs mean to whoever tried. */
const REASONS: Record<string, string> = {
  unknown: "No company of this name or address signs in here. Check what you typed, or sign in with your password.",
  too_many: "There were too many tries from here. Wait a minute and try again.",
  not_begun_here: "This sign-in was begun in another browser or tab, was ended already, or took longer than ten minutes. Begin again.",
  denied: "Your company’s sign-in said no. If you did not cancel it yourself, ask your administrator for access to Crossdock.",
  provider_failed: "Your company’s sign-in ended with an error. Try again; if it stays, tell your administrator.",
  provider_away: "Your company’s sign-in does not answer, or not as it should. Try again; if it stays, tell your administrator.",
  client_refused: "Your company’s sign-in does not know Crossdock, or knows another secret. Tell your administrator.",
  not_believed: "What your company’s sign-in said could not be verified. Try again; if it stays, tell your administrator.",
  email_not_verified: "Your company’s sign-in did not vouch for your e-mail address. Ask your administrator to have it verified there.",
  no_role: "None of your groups gives you a role here. Ask your administrator to add you to one that does.",
  domain_not_proven: "Your address has an account here already, and your company has not proven that the domain is its own. Ask your administrator, or sign in with your password.",
  owner: "You are an owner, and your company’s sign-in makes none. Sign in with your password and the code of your second factor.",
  inactive: "Your company’s directory says that you are not active any more. Ask whoever looks after it.",
  last_owner: "You are the last owner, and your groups would make you something else. Make somebody else an owner first.",
  changed: "Your company’s sign-in was set up anew this moment. Begin again.",
  internal: "Something on our side failed. Try again.",
};

export const DONE = "done";
/** Where somebody wanted to go, in the storage of this tab, while they are at their company's sign-in. */
export const WANTED_KEY = "sso-to";

/** Why somebody is back without being signed in; null where nothing is said. */
export function reasonOf(word: string | undefined): string | null {
  if (word === undefined || word === DONE) return null;
  return REASONS[word] ?? "The sign-in with your company did not work. Try again.";
}

/** Where it begins for who typed a company's name or their own address. */
export function startOf(who: string): string {
  const text = who.trim().toLowerCase();
  return /^[a-z0-9][a-z0-9-]{0,62}$/.test(text) ? `/sso/${text}/start` : `/sso/start?who=${encodeURIComponent(text)}`;
}
