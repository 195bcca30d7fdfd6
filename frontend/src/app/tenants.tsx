// Where somebody begins: straight on where they are a member of one tenant, and a choice where of several.
import { useQuery } from "@tanstack/react-query";
import { Link, Navigate } from "@tanstack/react-router";
import { ask } from "../api/client";
import { ViewerDocument } from "../session/query.generated";
import { signOut } from "../session/session";
import { Loading, Problem } from "../ui/state";

export function useViewer() {
  return useQuery({ queryKey: ["viewer"], queryFn: ({ signal }) => ask(ViewerDocument, {}, undefined, signal), staleTime: 60_000 });
}

export function Tenants() {
  const viewer = useViewer();
  const memberships = viewer.data?.viewer?.memberships;
  if (viewer.error) return <main className="main"><Problem error={viewer.error} retry={() => void viewer.refetch()} /></main>;
  if (!memberships) return <Loading what="your tenants" />;
  const [only] = memberships;
  if (only && memberships.length === 1) return <Navigate to="/t/$tenant" params={{ tenant: only.tenant.slug }} replace />;
  return (
    <main className="sign-in">
      <div className="panel stack">
        <h1>{memberships.length === 0 ? "You are no member of a tenant yet" : "Which tenant?"}</h1>
        {memberships.length === 0 ? (
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
          </ul>
        )}
        <button type="button" className="button quiet" onClick={() => void signOut()}>
          Sign out
        </button>
      </div>
    </main>
  );
}
