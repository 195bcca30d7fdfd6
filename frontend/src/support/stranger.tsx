// What somebody of the staff sees at the address of a tenant's page whose member they are not, and in whose place this tab is not: the ways in, and back to
// that page.
import { Link } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { ask } from "../api/client";
import { SupportOwnDocument } from "../session/query.generated";
import { Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { useResume } from "./resume";

export function StaffElsewhere({ tenant, to }: { tenant: string; to: string }) {
  // Theirs, and not the tenant's: so it is asked of none.
  const desk = useQuery({ queryKey: [null, SupportOwnDocument], queryFn: ({ signal }) => ask(SupportOwnDocument, {}, undefined, signal) });
  const { resume, isResuming } = useResume(to);
  const running = desk.data?.supportDesk.running;
  const isHere = running?.tenantSlug === tenant;
  return (
    <main className="sign-in">
      <div className="panel stack">
        <h1>You are no member of {tenant}</h1>
        {desk.error && !desk.data ? (
          <Problem error={desk.error} retry={() => void desk.refetch()} />
        ) : desk.isPending ? (
          <Loading what="what runs" />
        ) : running && isHere ? (
          <>
            <p>
              You are in its place until <Time at={running.endsAt} />, but not in this tab: each gets a token of its own, and loses it when it is loaded anew.
            </p>
            <button type="button" className="button main-act" disabled={isResuming} onClick={() => resume(running)}>
              Go on in its place
            </button>
          </>
        ) : (
          <>
            <p>As staff you can look at it in its place, with its consent.</p>
            <Link className="button main-act" to="/support" search={{ tenant, to }}>
              Ask it, or begin
            </Link>
          </>
        )}
        <Link to="/support" search={{}}>
          Support console
        </Link>
      </div>
    </main>
  );
}
