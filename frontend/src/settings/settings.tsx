// Settings: who may come in, which programs may, one's own account, and how long the audit log is kept. Each part has an address of its own.
import { Link, Navigate, Outlet } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { useMay, useRole, type Permission } from "../app/role";

const PARTS: { to: "/t/$tenant/settings/people" | "/t/$tenant/settings/api-keys" | "/t/$tenant/settings/audit-log" | "/t/$tenant/settings/account"; label: string; needs?: Permission }[] = [
  { to: "/t/$tenant/settings/people", label: "People", needs: "read" },
  { to: "/t/$tenant/settings/api-keys", label: "API keys", needs: "keys" },
  { to: "/t/$tenant/settings/audit-log", label: "Audit log", needs: "audit" },
  { to: "/t/$tenant/settings/account", label: "Your account" },
];

export function Settings() {
  const tenant = useTenant();
  const may = useMay();
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Settings</h1>
          <p>Who and which programs may come in, how long the audit log is kept, and your own account.</p>
        </div>
      </div>
      <nav className="tabs" aria-label="Settings">
        {PARTS.filter((part) => !part.needs || may(part.needs)).map((part) => (
          <Link key={part.to} to={part.to} params={{ tenant }} activeProps={{ "data-state": "active" }}>
            {part.label}
          </Link>
        ))}
      </nav>
      <Outlet />
    </div>
  );
}

/** Where no part is named: the first that the role may see. */
export function FirstPart() {
  const tenant = useTenant();
  const role = useRole();
  const may = useMay();
  if (role === undefined) return null;
  return <Navigate to={may("read") ? "/t/$tenant/settings/people" : "/t/$tenant/settings/account"} params={{ tenant }} replace />;
}
