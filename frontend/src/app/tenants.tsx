// Where somebody begins: straight on where they are a member of one tenant, and a choice where of several, or where they are staff and have a desk of their
// own beside it.
import { useQuery } from "@tanstack/react-query";
import { Link, Navigate } from "@tanstack/react-router";
import { ApiError, ask } from "../api/client";
import { useHeld, useTenantIfAny } from "../api/hooks";
import { ended } from "../session/impersonation";
import { ViewerDocument } from "../session/query.generated";
import { WayOut } from "../session/way-out";
import { Loading, Problem } from "../ui/state";

/** How often support asks whether it is in the tenant's place still. That alone is no look, and does not stand in the audit log. */
const SUPPORT_EVERY_MS = 5_000;

/** Who looks, and what they may in the tenant of the page, where it is of one. */
export function useViewer() {
  const tenant = useTenantIfAny();
  const held = useHeld();
  return useQuery({
    queryKey: ["viewer", tenant ?? null],
    queryFn: async ({ signal }) => {
      const answer = await ask(ViewerDocument, {}, tenant, signal);
      // A token that is worth nothing any more is a stranger's, to whom this is answered, too.
      if (held && answer.viewer?.impersonation?.id !== held.id) {
        void ended(held.id);
        throw new ApiError(`You are not in the place of ${held.tenant} any more.`, "IMPERSONATION_OVER");
      }
      return answer;
    },
    staleTime: 60_000,
    refetchInterval: held ? SUPPORT_EVERY_MS : false,
  });
}

export function Tenants() {
  const asked = useViewer();
  const viewer = asked.data?.viewer;
  if (asked.error && !viewer) return <main className="main"><Problem error={asked.error} retry={() => void asked.refetch()} /></main>;
  if (!viewer) return <Loading what="your tenants" />;
  const { memberships, isStaff } = viewer;
  const [only] = memberships;
  if (only && memberships.length === 1 && !isStaff) return <Navigate to="/t/$tenant" params={{ tenant: only.tenant.slug }} replace />;
  const isNowhere = memberships.length === 0 && !isStaff;
  return (
    <main className="sign-in">
      <div className="panel stack">
        <h1>{isNowhere ? "You are no member of a tenant yet" : isStaff ? "Where to?" : "Which tenant?"}</h1>
        {isNowhere ? (
          <p>Ask an owner or admin of yours to make you a member, then load this page again.</p>
        ) : (
          <ul className="stack tight">
            {memberships.map(({ tenant, role }) => (
              <li key={tenant.id}>
                <Link className="button wide" to="/t/$tenant" params={{ tenant: tenant.slug }}>
                  {tenant.name} <span className="muted">{role}</span>
                </Link>
              </li>
            ))}
            {isStaff && (
              <li>
                <Link className="button wide" to="/support">
                  Support console <span className="muted">staff</span>
                </Link>
              </li>
            )}
          </ul>
        )}
        <WayOut />
      </div>
    </main>
  );
}
