// What owners and admins have to know of support, whichever page they are on: that somebody waits for an answer.
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { may, usePermissions } from "../app/role";
import { SupportNewsDocument } from "../session/query.generated";

const EVERY_MS = 30_000;

export function useSupportNews(): { waiting: number } {
  const permissions = usePermissions();
  const asked = useAsk(SupportNewsDocument, {}, { everyMs: EVERY_MS, isWanted: permissions !== undefined && may(permissions, "support") });
  return { waiting: asked.data?.supportRequests.filter((one) => one.state === "WAITING").length ?? 0 };
}

/** On the overview: where everybody begins. */
export function SupportNews() {
  const tenant = useTenant();
  const { waiting } = useSupportNews();
  if (waiting === 0) return null;
  return (
    <div className="note warn row apart" role="status">
      <p>{waiting === 1 ? "Somebody of support asks to be let in, and waits for an answer." : `${waiting} requests of support wait for an answer.`}</p>
      <Link className="button" to="/t/$tenant/settings/support" params={{ tenant }}>
        Answer
      </Link>
    </div>
  );
}
