// What owners and admins have to know of support, whichever page they are on: that somebody waits for an answer; and where they begin, that somebody is in.
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { may, usePermissions } from "../app/role";
import { SupportNewsDocument } from "../session/query.generated";
import { InNow } from "./in-now";
import { mayBeIn } from "./words";

const EVERY_MS = 30_000;

export function useSupportNews(): { waiting: number; mayBeIn: boolean } {
  const permissions = usePermissions();
  const asked = useAsk(SupportNewsDocument, {}, { everyMs: EVERY_MS, isWanted: permissions !== undefined && may(permissions, "support") });
  const { supportRequests = [], supportConsents = [] } = asked.data ?? {};
  return { waiting: supportRequests.filter((one) => one.state === "WAITING").length, mayBeIn: supportConsents.some((one) => mayBeIn(one, Date.now())) };
}

/** On the overview: where everybody begins. */
export function SupportNews() {
  const tenant = useTenant();
  const { waiting, mayBeIn } = useSupportNews();
  return (
    <>
      {mayBeIn && <InNow />}
      {waiting > 0 && (
        <div className="note warn row apart" role="status">
          <p>{waiting === 1 ? "Somebody of support asks to be let in, and waits for an answer." : `${waiting} requests of support wait for an answer.`}</p>
          <Link className="button" to="/t/$tenant/settings/support" params={{ tenant }}>
            Answer
          </Link>
        </div>
      )}
    </>
  );
}
