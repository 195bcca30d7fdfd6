// What a page shows where it has nothing to show: that it is loading, that there is nothing and why that is well, or what went wrong and what to do.
import { ApiError } from "../api/client";

export function Loading({ what }: { what: string }) {
  return (
    <p className="loading" role="status">
      Loading {what}…
    </p>
  );
}

/** `isPage` where it is all that the page has, and its heading therefore the page's. */
export function Empty({ title, isPage = false, children }: { title: string; isPage?: boolean; children?: React.ReactNode }) {
  const Heading = isPage ? "h1" : "h2";
  return (
    <div className="empty">
      <Heading>{title}</Heading>
      {children}
    </div>
  );
}

export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const known = error instanceof ApiError ? error : null;
  const advice: Record<string, string> = {
    FORBIDDEN: "Your role in this tenant does not include it.",
    NO_TENANT: "There is no such tenant, or you are no member of it. Choose another one in the menu that has the tenant’s name, behind “Pages” on a telephone.",
    RATE_LIMITED: "Wait a minute, then try again.",
    TOO_COMPLEX: "This page asks for more at once than is allowed. Narrow what is shown, and tell whoever runs Crossdock.",
    CONFLICT: "Somebody else changed it meanwhile. Load it again, then decide anew.",
    INTERNAL: "Something on the side of Crossdock failed; what you see is as it was. If it stays, send the id below to whoever runs it.",
  };
  return (
    <div className="note bad" role="alert">
      <p>
        <strong>{sentence(known?.message ?? (error instanceof Error ? error.message : "Something went wrong in this page."))}</strong>
      </p>
      {known && advice[known.code] && <p>{advice[known.code]}</p>}
      {known?.requestId && <p className="small muted">Request id for support: {known.requestId}</p>}
      {retry && (
        <p>
          <button type="button" className="button" onClick={retry}>
            Try again
          </button>
        </p>
      )}
    </div>
  );
}

/** A list as `usePages` gives it, as far as it is known whether it is there. */
export interface Pages {
  error: unknown;
  data: unknown;
  isPending: boolean;
  refetch: () => unknown;
  hasNextPage: boolean;
  isFetchNextPageError: boolean;
  more: () => void;
}

/** What a page has of a list that it asked for: until it is there, that it loads or what went wrong. */
export function Asked({ of, what, children }: { of: Pages; what: string; children: React.ReactNode }) {
  // What was there before an error stays: an older answer is more than none.
  if (of.error && !of.data) return <Problem error={of.error} retry={() => void of.refetch()} />;
  if (of.isPending) return <Loading what={what} />;
  return children;
}

/** The next page of a list, where there is one. */
export function LoadMore({ of, what = "" }: { of: Pages; what?: string }) {
  if (!of.hasNextPage) return null;
  // Scrolling on asks for nothing any more until somebody says so: what is missing must not look like the end.
  if (of.isFetchNextPageError) return <Problem error={of.error} retry={of.more} />;
  return (
    <div className="row">
      <button type="button" className="button" onClick={of.more}>
        {`Load more ${what}`.trimEnd()}
      </button>
    </div>
  );
}

/** The API's messages begin small, because they stand behind a field's name elsewhere. */
export function sentence(text: string): string {
  // An address is no word.
  const first = /^https?:/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}
