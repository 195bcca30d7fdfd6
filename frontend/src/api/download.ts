// A file of the API, for whoever is signed in: it is read with the session's token and handed to the browser once it is whole. What broke off is not
// handed on, because half a file must not look like a whole one. The browser holds it until then, so there is a bound.
import { ApiError, tokenFor } from "./client";

export const FILE_BYTES_MAX = 256_000_000;
/** Pieces are handed to the browser's store for files as they come, so that they do not pile up in the page. */
const PIECE_BYTES = 8_000_000;

interface Refusal {
  errors?: { message: string; extensions?: { code?: string; requestId?: string } }[];
}

export async function download(path: string, tenant: string, onRead: (bytes: number) => void, signal: AbortSignal): Promise<Blob> {
  const token = await tokenFor(tenant);
  const broke = (error: unknown) => (signal.aborted ? error : new ApiError("It broke off, so nothing was kept. Try again.", "OFFLINE"));
  const response = await fetch(path, { headers: { Authorization: `Bearer ${token}`, "X-Crossdock-Tenant": tenant }, signal }).catch((error: unknown) => {
    throw broke(error);
  });
  if (!response.ok || !response.body) {
    const refusal = (await response.json().catch(() => null)) as Refusal | null;
    const error = refusal?.errors?.[0];
    throw new ApiError(error?.message ?? `Crossdock answered with ${response.status}. Try again.`, error?.extensions?.code ?? "OFFLINE", error?.extensions?.requestId);
  }
  const reader = response.body.getReader();
  const kept: Blob[] = [];
  let piece: Uint8Array<ArrayBuffer>[] = [];
  let [total, inPiece] = [0, 0];
  const keep = () => {
    kept.push(new Blob(piece));
    [piece, inPiece] = [[], 0];
  };
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw broke(error);
    });
    if (done) break;
    piece.push(value);
    total += value.length;
    inPiece += value.length;
    if (inPiece >= PIECE_BYTES) keep();
    if (total > FILE_BYTES_MAX) {
      void reader.cancel();
      throw new ApiError(`It is longer than the ${FILE_BYTES_MAX / 1_000_000} MB that a browser is given, so nothing was kept. Take less, or use the command line.`, "TOO_LARGE");
    }
    onRead(total);
  }
  keep();
  return new Blob(kept, { type: response.headers.get("content-type") ?? "" });
}

/** Puts it among the downloads. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Not at once: the browser may read it after the click has returned.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
