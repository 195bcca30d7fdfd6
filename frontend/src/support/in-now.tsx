// Who of support is in the tenant's place at this moment, why and until when, with the way to end it at once.
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Time } from "../ui/time";
import { ImpersonationEndDocument, ImpersonationsDocument } from "./query.generated";
import { called, plainly } from "./words";

const EVERY_MS = 15_000;

export function InNow() {
  const tenant = useTenant();
  const may = useMay();
  const asked = useAsk(ImpersonationsDocument, {}, { everyMs: EVERY_MS, isDear: true });
  const running = asked.data?.impersonations.filter((one) => one.state === "RUNNING") ?? [];
  return running.map((one) => (
    <div key={one.id} className={`note ${one.mayWrite ? "bad" : "warn"} row apart`} role="status">
      <div className="stack tight">
        <p className="row">
          <strong className="break">{called(one.staff)} of support is in your place now</strong> <Badge tone={one.mayWrite ? "bad" : "warn"}>{one.mayWrite ? "with writes" : "read only"}</Badge>
        </p>
        <p className="break">
          “{one.reason}”, ticket {one.ticket}, since <Time at={one.beganAt} as="clock" />, until <Time at={one.endsAt} as="clock" /> at the latest.{" "}
          {one.changeCount === 0 ? "They have changed nothing." : `${one.changeCount.toLocaleString()} of what they did changed something.`}
        </p>
      </div>
      <span className="row">
        <Link className="button" to="/t/$tenant/audit" params={{ tenant }} search={{ q: one.id, as: "actor" }} aria-label={`See what they do: ${called(one.staff)}, ticket ${one.ticket}`}>
          See what they do
        </Link>
        {may("support") && (
          <ActButton
            document={ImpersonationEndDocument}
            values={{ id: one.id }}
            payloadOf={(act) => plainly(act.impersonationEnd)}
            label="End it"
            name={`End it: ${called(one.staff)}, ${one.ticket}`}
            done={`It has ended: ${called(one.staff)} sees nothing of yours from the next request on.`}
          />
        )}
      </span>
    </div>
  ));
}
