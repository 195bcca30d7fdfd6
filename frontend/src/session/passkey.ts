// Passkeys and security keys (WebAuthn): what the server asks of a key, in the form that browsers take, and what the key answered, in the form that the
// server reads. Bytes travel as base64url.

/** As the server writes it: `navigator.credentials` wants bytes where this has texts. */
export interface PasskeyAsked {
  challenge: string;
  options: unknown;
}

export interface PasskeyAnswer {
  challenge: string;
  credential: unknown;
}

/** True where the browser knows keys: on https and on this machine. */
export function hasPasskeys(): boolean {
  return typeof PublicKeyCredential !== "undefined";
}

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

export function text(buffer: ArrayBuffer): string {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

interface Descriptor {
  id: string;
  type: PublicKeyCredentialType;
  transports?: AuthenticatorTransport[];
}
type Options = Record<string, unknown> & { challenge: string; user: { id: string }; excludeCredentials?: Descriptor[]; allowCredentials?: Descriptor[] };

const described = (all: Descriptor[] | undefined) => (all ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

function read(asked: PasskeyAsked): Options {
  return (asked.options as { publicKey: Options }).publicKey;
}

/** Makes a key for this person; null where they did not want to, or had none at hand. */
export async function createPasskey(asked: PasskeyAsked): Promise<PasskeyAnswer | null> {
  const options = read(asked);
  const publicKey = { ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) }, excludeCredentials: described(options.excludeCredentials) };
  const made = (await wanted(navigator.credentials.create({ publicKey: publicKey as unknown as PublicKeyCredentialCreationOptions }))) as PublicKeyCredential | null;
  if (!made) return null;
  const response = made.response as AuthenticatorAttestationResponse;
  return answer(asked, made, { attestationObject: text(response.attestationObject), clientDataJSON: text(response.clientDataJSON), transports: response.getTransports() });
}

/** Has one of the person's keys sign; null where they did not want to, or had none at hand. */
export async function showPasskey(asked: PasskeyAsked): Promise<PasskeyAnswer | null> {
  const options = read(asked);
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: described(options.allowCredentials) };
  const shown = (await wanted(navigator.credentials.get({ publicKey: publicKey as unknown as PublicKeyCredentialRequestOptions }))) as PublicKeyCredential | null;
  if (!shown) return null;
  const response = shown.response as AuthenticatorAssertionResponse;
  return answer(asked, shown, {
    authenticatorData: text(response.authenticatorData),
    clientDataJSON: text(response.clientDataJSON),
    signature: text(response.signature),
    userHandle: response.userHandle ? text(response.userHandle) : null,
  });
}

function answer(asked: PasskeyAsked, key: PublicKeyCredential, response: object): PasskeyAnswer {
  const credential = { id: key.id, rawId: text(key.rawId), type: key.type, response, clientExtensionResults: {} };
  return { challenge: asked.challenge, credential };
}

/** Whoever closes the browser's dialogue, lets it wait too long, or has made a key of this device already, has done nothing wrong. */
async function wanted(asked: Promise<Credential | null>): Promise<Credential | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof DOMException && ["NotAllowedError", "AbortError", "InvalidStateError"].includes(error.name)) return null;
    throw error;
  }
}
