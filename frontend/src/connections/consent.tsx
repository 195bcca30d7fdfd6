// A person's consent at the vendor: asked for, and how it stands. The browser leaves for the vendor's own pages and comes back to the connection.
import { useState } from "react";
import { useAct } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { useTell } from "../ui/notice";
import { sentence } from "../ui/state";
import { Time } from "../ui/time";
import { ConnectionConsentBeginDocument, type ConnectionDetailQuery } from "./query.generated";

type Consent = NonNullable<NonNullable<ConnectionDetailQuery["connection"]>["consent"]>;

/** Leaves for the vendor's pages with the person; says why where that cannot be. */
export function useLeave() {
  const tell = useTell();
  const begin = useAct(ConnectionConsentBeginDocument);
  // It stays so until the other page is there.
  const [isLeaving, setLeaving] = useState(false);
  const leave = (id: string) =>
    begin.mutate(
      { id },
      {
        onSuccess: ({ connectionConsentBegin: { authorizeUrl, userErrors } }) => {
          if (authorizeUrl) {
            setLeaving(true);
            window.location.assign(authorizeUrl);
          } else tell(sentence(userErrors[0]?.message ?? "nobody can be asked now"), "bad");
        },
        onError: (error) => tell(sentence(error.message), "bad"),
      },
    );
  return { leave, isLeaving: isLeaving || begin.isPending };
}

/** What the person's way to the vendor and back came to. */
export function ConsentResult({ consent }: { consent: Consent }) {
  const { last } = consent;
  if (!last) return null;
  const tone = last.end === "GIVEN" ? "good" : last.end === "SCOPES_MISSING" ? "warn" : "bad";
  return (
    <div className={`note ${tone}`} role={tone === "good" ? "status" : "alert"}>
      <strong>{last.sentence ?? "Nothing was connected: the way to the vendor and back broke off."}</strong>
      {tone !== "good" && <p>{last.nextStep ?? "Connect again."}</p>}
    </div>
  );
}

export function ConsentPanel({ connection }: { connection: { id: string; connector: string; consent?: Consent | null } }) {
  const may = useMay()("configure");
  const { leave, isLeaving } = useLeave();
  const { consent } = connection;
  if (!consent) return null;
  const isWhole = consent.given && consent.missingScopes.length === 0;
  return (
    <section className="panel stack tight">
      <div className="row apart">
        <h2>Consent</h2>
        <Badge state={isWhole ? "connected" : consent.given ? "partly" : "needed"} tone={isWhole ? "good" : consent.given ? "warn" : "bad"} />
      </div>
      <p>
        {consent.given
          ? "Somebody of yours lets Crossdock work in this account. What was given for that is sealed, and renewed by itself."
          : "Nothing can be called yet: somebody who has the account must allow it at the vendor."}
      </p>
      {consent.missingScopes.length > 0 && (
        <div className="note warn">
          <p>Not allowed, and needed:</p>
          <ul>
            {consent.missingScopes.map((one) => (
              <li key={one.name}>
                {one.title}
                {one.title !== one.name && <span className="muted small"> ({one.name})</span>}
              </li>
            ))}
          </ul>
        </div>
      )}
      {consent.given && (
        <p className="muted small">
          {consent.givenAt && (
            <>
              Given <Time at={consent.givenAt} />.{" "}
            </>
          )}
          {consent.endsAt && (
            <>
              Unless it is used, it ends <Time at={consent.endsAt} />.
            </>
          )}
        </p>
      )}
      {may && (
        <div>
          <button type="button" className={isWhole ? "button" : "button main-act"} disabled={isLeaving} onClick={() => leave(connection.id)}>
            {isLeaving ? "Leaving for the vendor…" : consent.given ? "Connect again" : "Connect at the vendor"}
          </button>
        </div>
      )}
    </section>
  );
}
