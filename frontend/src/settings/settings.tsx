// Settings: who may come in and how they sign in, which programs may, how long the audit log is kept, whether support is let in, the tenant itself, and one's own account. Each part has an address of its own.
import { useEffect, useRef } from "react";
import { Link, Navigate, Outlet, useLocation } from "@tanstack/react-router";
import { useHeld, useTenant } from "../api/hooks";
import { useMay, usePermissions, type Permission } from "../app/role";
import { useSupportNews } from "../support/news";
import { Badge } from "../ui/badge";

const PARTS: { to: "/t/$tenant/settings/people" | "/t/$tenant/settings/sign-on" | "/t/$tenant/settings/directory" | "/t/$tenant/settings/api-keys" | "/t/$tenant/settings/audit-log" | "/t/$tenant/settings/support" | "/t/$tenant/settings/tenant" | "/t/$tenant/settings/account"; label: string; needs?: Permission }[] = [
  { to: "/t/$tenant/settings/people", label: "People", needs: "read" },
  { to: "/t/$tenant/settings/sign-on", label: "Single sign-on", needs: "members" },
  { to: "/t/$tenant/settings/directory", label: "Directory", needs: "members" },
  { to: "/t/$tenant/settings/api-keys", label: "API keys", needs: "keys" },
  { to: "/t/$tenant/settings/audit-log", label: "Audit log", needs: "audit" },
  { to: "/t/$tenant/settings/support", label: "Support", needs: "audit" },
  { to: "/t/$tenant/settings/tenant", label: "This tenant", needs: "owners" },
  { to: "/t/$tenant/settings/account", label: "Your account" },
];

export function Settings() {
  const tenant = useTenant();
  const may = useMay();
  const held = useHeld();
  const { waiting } = useSupportNews();
  // An account is a person's own: support has none in the place of a tenant.
  const parts = PARTS.filter(({ needs }) => (needs ? may(needs) : held === null));
  const { pathname } = useLocation();
  const part = parts.find(({ to }) => pathname.endsWith(to.slice(to.lastIndexOf("/"))));
  // On a telephone they are one line that is drawn aside: where one is must be in sight.
  const parted = useRef<HTMLElement>(null);
  useEffect(() => {
    parted.current?.querySelector('[data-state="active"]')?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [pathname]);
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1 data-title={part ? `${part.label} · Settings` : "Settings"}>Settings</h1>
          <p>Who may come in and how they sign in, which programs may, how long the audit log is kept, whether support is let in, and your own account.</p>
        </div>
      </div>
      <nav ref={parted} className="tabs" aria-label="Settings">
        {parts.map((part) => (
          <Link key={part.to} to={part.to} params={{ tenant }} activeProps={{ "data-state": "active" }}>
            {part.label}
            {part.label === "Support" && waiting > 0 && (
              <>
                {" "}
                <Badge tone="warn">{waiting}</Badge>
              </>
            )}
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
  const isKnown = usePermissions() !== undefined;
  const may = useMay();
  if (!isKnown) return null;
  return <Navigate to={may("read") ? "/t/$tenant/settings/people" : "/t/$tenant/settings/account"} params={{ tenant }} replace />;
}
