// What somebody sees of a tenant that demands a second factor and is not shown theirs, because they have none: they set one up here, go to another tenant, or
// sign out.
import { Link } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { useTenant } from "../api/hooks";
import { membershipIn } from "../app/role";
import { useViewer } from "../app/tenants";
import { Passkeys } from "../settings/passkeys";
import { SecondFactor } from "../settings/second-factor";
import { WayOut } from "./way-out";

export function SecondFactorDemanded({ goOn }: { goOn: () => void }) {
  const tenant = useTenant();
  const queries = useQueryClient();
  const viewer = useViewer().data?.viewer;
  const name = membershipIn(viewer, tenant)?.tenant.name ?? tenant;
  const others = (viewer?.memberships ?? []).filter((one) => one.tenant.slug !== tenant && one.tenant.id !== tenant);
  const again = async () => {
    await queries.invalidateQueries({ queryKey: ["viewer"] });
    await queries.resetQueries({ queryKey: [tenant] });
    goOn();
  };
  return (
    <main className="sign-in">
      <div className="stack" style={{ width: "min(400px, 100%)" }}>
        <div className="panel stack tight">
          <h1>{name} demands a second factor</h1>
          <p>Its owners and admins let nobody in by a password alone. Set one up now, and you go on where you wanted to.</p>
        </div>
        <SecondFactor inUse={null} whenSet={() => void again()} />
        <Passkeys keys={[]} hasApp={false} codesLeft={0} whenSet={() => void again()} />
        <div className="panel stack tight">
          {others.length > 0 && (
            <ul className="stack tight">
              {others.map(({ tenant: other }) => (
                <li key={other.id}>
                  <Link className="button wide" to="/t/$tenant" params={{ tenant: other.slug }}>
                    Go to {other.name}
                  </Link>
                </li>
              ))}
            </ul>
          )}
          <WayOut />
        </div>
      </div>
    </main>
  );
}
