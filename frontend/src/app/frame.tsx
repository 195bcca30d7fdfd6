// The frame of a tenant's pages: where one can go, whose tenant it is, and the keys.
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { Link, Navigate, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useAsk, useChanges, useHeld, useTenant } from "../api/hooks";
import { signOut } from "../session/session";
import { ImpersonationBanner } from "../support/banner";
import { useLeave } from "../support/leave";
import { useSupportNews } from "../support/news";
import { StaffElsewhere } from "../support/stranger";
import { Badge } from "../ui/badge";
import { Icon, type IconName } from "../ui/icon";
import { useKeys } from "../ui/keys";
import { Menu } from "../ui/menu";
import { ChangesDocument } from "./changes.generated";
import { DeletionBanner } from "./deletion-banner";
import { WaitingDocument } from "./frame.generated";
import { Find } from "./find";
import { KeyList } from "./key-list";
import { Offline } from "./offline";
import { membershipIn, useMay, type Permission } from "./role";
import { useViewer } from "./tenants";
import { useTheme } from "./theme";

type Page = "" | "/exceptions" | "/deliveries" | "/records" | "/inventory" | "/reconciliations" | "/incidents" | "/drifts" | "/sunsets" | "/connections" | "/flows" | "/lookup-tables" | "/backfills" | "/files" | "/alerts" | "/audit" | "/usage" | "/settings/";

interface PageLink {
  to: `/t/$tenant${Page}`;
  label: string;
  key: string;
  icon: IconName;
  isExact?: boolean;
  /** What a role must have to see it: "read" where nothing is said; null where everybody does. */
  needs?: Permission | null;
}

/** What is worked, what it is proven by, what it runs by, and what the tenant decides. */
const GROUPS: readonly { title: string; pages: readonly PageLink[] }[] = [
  {
    title: "Work",
    pages: [
      { to: "/t/$tenant", label: "Overview", key: "g o", icon: "overview", isExact: true },
      { to: "/t/$tenant/exceptions", label: "Exceptions", key: "g e", icon: "exceptions" },
      { to: "/t/$tenant/deliveries", label: "Deliveries", key: "g v", icon: "deliveries" },
      { to: "/t/$tenant/records", label: "Records", key: "g r", icon: "records" },
      { to: "/t/$tenant/inventory", label: "Inventory", key: "g n", icon: "inventory" },
    ],
  },
  {
    title: "Watch",
    pages: [
      { to: "/t/$tenant/reconciliations", label: "Reconciliations", key: "g p", icon: "reconciliations" },
      { to: "/t/$tenant/incidents", label: "Incidents", key: "g i", icon: "incidents" },
      { to: "/t/$tenant/drifts", label: "Drift", key: "g d", icon: "drifts" },
      { to: "/t/$tenant/sunsets", label: "Sunsets", key: "g s", icon: "sunsets" },
    ],
  },
  {
    title: "Build",
    pages: [
      { to: "/t/$tenant/connections", label: "Connections", key: "g c", icon: "connections" },
      { to: "/t/$tenant/flows", label: "Flows", key: "g f", icon: "flows" },
      { to: "/t/$tenant/lookup-tables", label: "Lookup tables", key: "g l", icon: "lookup-tables" },
      { to: "/t/$tenant/backfills", label: "Backfills", key: "g b", icon: "backfills" },
      { to: "/t/$tenant/files", label: "Files", key: "g x", icon: "files" },
    ],
  },
  {
    title: "Tenant",
    pages: [
      { to: "/t/$tenant/alerts", label: "Alerts", key: "g a", icon: "alerts" },
      { to: "/t/$tenant/audit", label: "Audit log", key: "g t", icon: "audit", needs: "audit" },
      { to: "/t/$tenant/usage", label: "Usage", key: "g u", icon: "usage", needs: "usage" },
      { to: "/t/$tenant/settings/", label: "Settings", key: "g ,", icon: "settings", needs: null },
    ],
  },
];
const WAITING_EVERY_MS = 15_000;

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
  // On a telephone the pages are behind a button, which a page that was chosen closes.
  const [isOpen, setOpen] = useState(false);
  const person = viewer.data?.viewer;
  const memberships = person?.memberships ?? [];
  const membership = membershipIn(person, tenant);
  const may = useMay();
  const groups = GROUPS.map((group) => ({ ...group, pages: group.pages.filter(({ needs = "read" }) => needs === null || may(needs)) })).filter((group) => group.pages.length > 0);
  const pages = groups.flatMap((group) => group.pages);
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
  // What was searched from the menu is shown by the same page, and not under the menu.
  useEffect(() => setOpen(false), [href]);
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
      <header className={isOpen ? "side open" : "side"}>
        <div className="row apart">
          <Link to="/t/$tenant" params={{ tenant }} className="brand">
            <img src="/icon.svg" alt="" /> Crossdock
          </Link>
          <span className="row nowrap-row">
            <WaitingAtHand />
            {may("read") && (
              <Link className="button at-hand" to="/t/$tenant/records" params={{ tenant }} search={{}} aria-label="To the search">
                <Icon name="records" />
              </Link>
            )}
            <button type="button" className="button pages-button" aria-expanded={isOpen} aria-controls="pages" onClick={() => setOpen(!isOpen)}>
              <Icon name="menu" /> Pages
            </button>
          </span>
        </div>
        <nav aria-label="Pages" id="pages">
          {may("read") && <Find />}
          {groups.map((group) => (
            <div key={group.title} className="pages" role="group" aria-label={group.title}>
              <p className="group" aria-hidden="true">
                {group.title}
              </p>
              {group.pages.map((page) => (
                <Link key={page.to} to={page.to} params={{ tenant }} activeOptions={{ exact: page.isExact ?? false }}>
                  <Icon name={page.icon} />
                  <span>{page.label}</span>
                  {page.label === "Exceptions" && <Waiting />}
                  {page.label === "Settings" && waiting > 0 && (
                    <Badge tone="warn">
                      {waiting}
                      <span className="hidden-label"> {waiting === 1 ? "request of support waits" : "requests of support wait"}</span>
                    </Badge>
                  )}
                </Link>
              ))}
            </div>
          ))}
        </nav>
        <div className="foot">
          <div className="pair">
            <button type="button" className="button quiet wide" onClick={() => setKeyList(true)}>
              Keys <kbd>?</kbd>
            </button>
            <button type="button" className="button quiet wide" onClick={turnTheme}>
              {theme === "dark" ? "Light theme" : "Dark theme"}
            </button>
          </div>
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
        <DeletionBanner />
        {/* Who sees only what is billed begins there. */}
        {pathname.replace(/\/$/, "") === `/t/${tenant}` && !may("read") ? <Navigate to="/t/$tenant/usage" params={{ tenant }} replace /> : <Outlet />}
      </main>
      <KeyList open={hasKeyList} close={() => setKeyList(false)} />
    </div>
  );
}

function useWaiting(): number {
  const may = useMay();
  const held = useHeld();
  const asked = useAsk(WaitingDocument, {}, { everyMs: WAITING_EVERY_MS, isWanted: may("read") && held === null, isDear: true });
  return asked.data?.ledger.deliveries.find((one) => one.state === "exception")?.count ?? 0;
}

const short = (count: number) => (count > 999 ? "999+" : String(count));

/** How much waits for a person, beside the page where it is worked. That page says it, too: screen readers need not hear it at each of the links. */
function Waiting() {
  const count = useWaiting();
  if (count === 0) return null;
  return (
    <span className="badge bad num" aria-hidden="true">
      {short(count)}
    </span>
  );
}

/** The same on a telephone, where the pages are behind a button: what one is woken for is one touch away. */
function WaitingAtHand() {
  const tenant = useTenant();
  const count = useWaiting();
  if (count === 0) return null;
  return (
    <Link className="button at-hand" to="/t/$tenant/exceptions" params={{ tenant }} search={{}} aria-label={`${short(count)} wait for a person`}>
      <Icon name="exceptions" />
      <span className="badge bad num">{short(count)}</span>
    </Link>
  );
}
