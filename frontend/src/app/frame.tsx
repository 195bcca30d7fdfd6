// The frame of a tenant's pages: where one can go, whose tenant it is, and the keys.
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { Link, Navigate, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useChanges, useHeld, useTenant } from "../api/hooks";
import { signOut } from "../session/session";
import { ImpersonationBanner } from "../support/banner";
import { useLeave } from "../support/leave";
import { useSupportNews } from "../support/news";
import { StaffElsewhere } from "../support/stranger";
import { Badge } from "../ui/badge";
import { useKeys } from "../ui/keys";
import { Menu } from "../ui/menu";
import { ChangesDocument } from "./changes.generated";
import { KeyList } from "./key-list";
import { Offline } from "./offline";
import { membershipIn, useMay, type Permission } from "./role";
import { useViewer } from "./tenants";
import { useTheme } from "./theme";

interface PageLink {
  to: "/t/$tenant" | `/t/$tenant/${"exceptions" | "lookup-tables" | "records" | "inventory" | "reconciliations" | "incidents" | "drifts" | "sunsets" | "connections" | "flows" | "backfills" | "files" | "alerts" | "audit" | "usage" | "settings/"}`;
  label: string;
  key: string;
  isExact?: boolean;
  /** What a role must have to see it: "read" where nothing is said; null where everybody does. */
  needs?: Permission | null;
}

const PAGES: readonly PageLink[] = [
  { to: "/t/$tenant", label: "Overview", key: "g o", isExact: true },
  { to: "/t/$tenant/exceptions", label: "Exceptions", key: "g e" },
  { to: "/t/$tenant/lookup-tables", label: "Lookup tables", key: "g l" },
  { to: "/t/$tenant/records", label: "Records", key: "g r" },
  { to: "/t/$tenant/inventory", label: "Inventory", key: "g n" },
  { to: "/t/$tenant/reconciliations", label: "Reconciliations", key: "g p" },
  { to: "/t/$tenant/incidents", label: "Incidents", key: "g i" },
  { to: "/t/$tenant/drifts", label: "Drift", key: "g d" },
  { to: "/t/$tenant/sunsets", label: "Sunsets", key: "g s" },
  { to: "/t/$tenant/connections", label: "Connections", key: "g c" },
  { to: "/t/$tenant/flows", label: "Flows", key: "g f" },
  { to: "/t/$tenant/backfills", label: "Backfills", key: "g b" },
  { to: "/t/$tenant/files", label: "Files", key: "g x" },
  { to: "/t/$tenant/alerts", label: "Alerts", key: "g a" },
  { to: "/t/$tenant/audit", label: "Audit log", key: "g t", needs: "audit" },
  { to: "/t/$tenant/usage", label: "Usage", key: "g u", needs: "usage" },
  { to: "/t/$tenant/settings/", label: "Settings", key: "g ,", needs: null },
];

// Few ever see it.
const SecondFactorDemanded = lazy(() => import("../session/second-factor-demanded").then((page) => ({ default: page.SecondFactorDemanded })));

export function Frame() {
  const tenant = useTenant();
  const needs = membershipIn(useViewer().data?.viewer, tenant)?.needsSecondFactor ?? false;
  // Once there, its page stays until its person goes on: the recovery codes on it are shown once.
  const [keptOutOf, setKeptOutOf] = useState<string | null>(null);
  useEffect(() => {
    if (needs) setKeptOutOf(tenant);
  }, [needs, tenant]);
  if (!needs && keptOutOf !== tenant) return <TenantFrame />;
  return (
    <Suspense fallback={<main className="sign-in" aria-busy="true" />}>
      <SecondFactorDemanded goOn={() => setKeptOutOf(null)} />
    </Suspense>
  );
}

function TenantFrame() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const viewer = useViewer();
  useChanges(ChangesDocument);
  const [theme, turnTheme] = useTheme();
  const [hasKeyList, setKeyList] = useState(false);
  const person = viewer.data?.viewer;
  const memberships = person?.memberships ?? [];
  const membership = membershipIn(person, tenant);
  const may = useMay();
  const pages = PAGES.filter(({ needs = "read" }) => needs === null || may(needs));
  const held = useHeld();
  const { leave } = useLeave();
  const { waiting } = useSupportNews();
  const main = useRef<HTMLElement>(null);
  const { pathname, href } = useLocation();
  const first = useRef(true);
  useEffect(() => {
    // A new page begins at its top, for screen readers too; the first one is left where the browser put the focus.
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [pathname]);
  useKeys([
    ...pages.map((page) => ({ key: page.key, label: `Go to ${page.label.toLowerCase()}`, act: () => void navigate({ to: page.to, params: { tenant } }) })),
    { key: "?", label: "Show this list", act: () => setKeyList(true) },
  ]);
  // Staff and no member: nothing of the tenant is theirs to ask for.
  if (person?.isStaff && !membership && !held) return <StaffElsewhere tenant={tenant} to={href} />;
  return (
    <div className="frame">
      <a href="#main" className="skip" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to the page
      </a>
      <ImpersonationBanner />
      <header className="side">
        <Link to="/t/$tenant" params={{ tenant }} className="brand">
          <img src="/icon.svg" alt="" /> Crossdock
        </Link>
        <nav aria-label="Pages">
          {pages.map((page) => (
            <Link key={page.to} to={page.to} params={{ tenant }} activeOptions={{ exact: page.isExact ?? false }}>
              {page.label}
              {page.label === "Settings" && waiting > 0 && (
                <Badge tone="warn">
                  {waiting}
                  <span className="hidden-label"> {waiting === 1 ? "request of support waits" : "requests of support wait"}</span>
                </Badge>
              )}
            </Link>
          ))}
        </nav>
        <div className="foot">
          <button type="button" className="button quiet wide" onClick={() => setKeyList(true)}>
            Keys <kbd>?</kbd>
          </button>
          <button type="button" className="button quiet wide" onClick={turnTheme}>
            {theme === "dark" ? "Light theme" : "Dark theme"}
          </button>
          <Menu
            label={membership?.tenant.name ?? held?.tenant ?? tenant}
            choices={[
              ...memberships.map((one) => ({
                label: one.tenant.name,
                note: one.role,
                isChosen: one === membership,
                act: () => void navigate({ to: "/t/$tenant", params: { tenant: one.tenant.slug } }),
              })),
              ...(person?.isStaff || held ? [{ label: "Support console", act: () => void navigate({ to: "/support", search: {} }) }] : []),
              ...(held ? [{ label: "Leave its place", act: () => leave(held) }] : []),
              { label: "Sign out", act: () => void signOut() },
            ]}
          />
        </div>
      </header>
      <main className="main" id="main" ref={main} tabIndex={-1}>
        <Offline />
        {/* Who sees only what is billed begins there. */}
        {pathname.replace(/\/$/, "") === `/t/${tenant}` && !may("read") ? <Navigate to="/t/$tenant/usage" params={{ tenant }} replace /> : <Outlet />}
      </main>
      <KeyList open={hasKeyList} close={() => setKeyList(false)} />
    </div>
  );
}
