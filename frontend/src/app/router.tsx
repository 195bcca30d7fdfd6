// The pages and their addresses. Each page is a chunk of its own, loaded when it is first wanted; the tenant is a part of the address, so that a
// link means the same for everybody and two tabs can be about two tenants.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { isSignedIn } from "../session/session";
import { Frame } from "./frame";
import { NoSuchPage, NotFound, PageProblem } from "./problem";
import { Root } from "./root";
import { Tenants } from "./tenants";

const root = createRootRoute({ component: Root, notFoundComponent: NotFound });

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
/** Keys without a value are left out: an address shows only what was chosen. */
function chosen<Key extends string>(search: Record<string, unknown>, keys: readonly Key[]): { [K in Key]?: string } {
  const found: { [K in Key]?: string } = {};
  for (const key of keys) {
    const value = text(search[key] === undefined || search[key] === null ? undefined : String(search[key]));
    if (value !== undefined) found[key] = value;
  }
  return found;
}

const mustBeSignedIn = ({ location }: { location: { href: string } }) => {
  if (!isSignedIn()) throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { to: location.href } });
};

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (search) => chosen(search, ["to", "sso"]),
  component: lazyRouteComponent(() => import("../session/sign-in"), "SignIn"),
});
const company = createRoute({
  getParentRoute: () => root,
  path: "/company",
  validateSearch: (search) => chosen(search, ["who", "to"]),
  component: lazyRouteComponent(() => import("../session/company"), "Company"),
});
// Where somebody comes back to from a vendor whose way here is not known.
const consent = createRoute({
  getParentRoute: () => root,
  path: "/consent",
  validateSearch: (search) => chosen(search, ["ended"]),
  component: lazyRouteComponent(() => import("../session/consent"), "ConsentLost"),
});
// What is mailed to people leads here; the token stands behind # and is read by the page.
const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitation",
  component: lazyRouteComponent(() => import("../session/invitation"), "Invitation"),
});
const password = createRoute({ getParentRoute: () => root, path: "/password", component: lazyRouteComponent(() => import("../session/password"), "Password") });
const verify = createRoute({ getParentRoute: () => root, path: "/verify", component: lazyRouteComponent(() => import("../session/verify"), "Verify") });
const home = createRoute({ getParentRoute: () => root, path: "/", beforeLoad: mustBeSignedIn, component: Tenants });
const tenant = createRoute({ getParentRoute: () => root, path: "/t/$tenant", beforeLoad: mustBeSignedIn, component: Frame, notFoundComponent: NoSuchPage });

// What is no tenant's: one's own account, and the desk of the staff.
const own = createRoute({ getParentRoute: () => root, id: "own", beforeLoad: mustBeSignedIn, component: lazyRouteComponent(() => import("./own"), "OwnFrame") });
const account = createRoute({ getParentRoute: () => own, path: "/account", component: lazyRouteComponent(() => import("../settings/account"), "AccountPage") });
const support = createRoute({
  getParentRoute: () => own,
  path: "/support",
  validateSearch: (search) => chosen(search, ["tenant", "reason", "ticket", "to"]),
  component: lazyRouteComponent(() => import("../support/console"), "SupportConsole"),
});

const overview = createRoute({
  getParentRoute: () => tenant,
  path: "/",
  component: lazyRouteComponent(() => import("../overview/overview"), "Overview"),
});
const exceptions = createRoute({
  getParentRoute: () => tenant,
  path: "/exceptions",
  validateSearch: (search) => chosen(search, ["text", "owner", "whose", "away"]),
  component: lazyRouteComponent(() => import("../exceptions/list"), "Exceptions"),
});
const exceptionGroup = createRoute({
  getParentRoute: () => tenant,
  path: "/exceptions/$causeKey",
  validateSearch: (search) => chosen(search, ["exception"]),
  component: lazyRouteComponent(() => import("../exceptions/group"), "ExceptionGroup"),
});
const deliveries = createRoute({
  getParentRoute: () => tenant,
  path: "/deliveries",
  validateSearch: (search) => chosen(search, ["state", "flow", "connection"]),
  component: lazyRouteComponent(() => import("../deliveries/list"), "Deliveries"),
});
const records = createRoute({
  getParentRoute: () => tenant,
  path: "/records",
  validateSearch: (search) => chosen(search, ["q", "kind"]),
  component: lazyRouteComponent(() => import("../records/search"), "Records"),
});
const record = createRoute({
  getParentRoute: () => tenant,
  path: "/records/$recordId",
  validateSearch: (search) => chosen(search, ["raw"]),
  component: lazyRouteComponent(() => import("../records/detail"), "RecordPage"),
});
const connections = createRoute({
  getParentRoute: () => tenant,
  path: "/connections",
  component: lazyRouteComponent(() => import("../connections/list"), "Connections"),
});
const catalog = createRoute({
  getParentRoute: () => tenant,
  path: "/connections/new",
  validateSearch: (search) => chosen(search, ["q", "category"]),
  component: lazyRouteComponent(() => import("../connections/catalog"), "ConnectorCatalog"),
});
const connect = createRoute({
  getParentRoute: () => tenant,
  path: "/connections/new/$connector",
  component: lazyRouteComponent(() => import("../connections/connect"), "Connect"),
});
const connectionHealth = createRoute({
  getParentRoute: () => tenant,
  path: "/connections/health",
  component: lazyRouteComponent(() => import("../connections/health"), "ConnectionHealth"),
});
const connection = createRoute({
  getParentRoute: () => tenant,
  path: "/connections/$connectionId",
  validateSearch: (search) => chosen(search, ["consent"]),
  component: lazyRouteComponent(() => import("../connections/detail"), "ConnectionPage"),
});
const flows = createRoute({
  getParentRoute: () => tenant,
  path: "/flows",
  component: lazyRouteComponent(() => import("../flows/list"), "Flows"),
});
const flowsMap = createRoute({
  getParentRoute: () => tenant,
  path: "/flows/map",
  component: lazyRouteComponent(() => import("../flows/map"), "FlowsMap"),
});
const newFlow = createRoute({
  getParentRoute: () => tenant,
  path: "/flows/new",
  validateSearch: (search) => chosen(search, ["from", "to"]),
  component: lazyRouteComponent(() => import("../flows/create"), "NewFlow"),
});
const flow = createRoute({
  getParentRoute: () => tenant,
  path: "/flows/$flowId",
  validateSearch: (search) => chosen(search, ["version"]),
  component: lazyRouteComponent(() => import("../flows/detail"), "FlowPage"),
});
const mapping = createRoute({
  getParentRoute: () => tenant,
  path: "/flows/$flowId/mapping",
  validateSearch: (search) => chosen(search, ["side"]),
  component: lazyRouteComponent(() => import("../mappings/editor"), "MappingEditor"),
});
const undo = createRoute({
  getParentRoute: () => tenant,
  path: "/flows/$flowId/undos/$undoId",
  validateSearch: (search) => chosen(search, ["kind"]),
  component: lazyRouteComponent(() => import("../undos/detail"), "UndoPage"),
});
const newSwap = createRoute({
  getParentRoute: () => tenant,
  path: "/flows/$flowId/swaps/new",
  component: lazyRouteComponent(() => import("../swaps/begin"), "NewSwap"),
});
const swap = createRoute({
  getParentRoute: () => tenant,
  path: "/flows/$flowId/swaps/$swapId",
  component: lazyRouteComponent(() => import("../swaps/detail"), "SwapPage"),
});
const lookupTables = createRoute({
  getParentRoute: () => tenant,
  path: "/lookup-tables",
  component: lazyRouteComponent(() => import("../lookup-tables/list"), "LookupTables"),
});
const lookupTable = createRoute({
  getParentRoute: () => tenant,
  path: "/lookup-tables/$tableId",
  validateSearch: (search) => chosen(search, ["q"]),
  component: lazyRouteComponent(() => import("../lookup-tables/detail"), "LookupTablePage"),
});
const reconciliations = createRoute({
  getParentRoute: () => tenant,
  path: "/reconciliations",
  validateSearch: (search) => chosen(search, ["flow"]),
  component: lazyRouteComponent(() => import("../reconciliations/list"), "Reconciliations"),
});
const reconciliation = createRoute({
  getParentRoute: () => tenant,
  path: "/reconciliations/$reconciliationId",
  validateSearch: (search) => chosen(search, ["kind"]),
  component: lazyRouteComponent(() => import("../reconciliations/detail"), "ReconciliationPage"),
});
const certificates = createRoute({
  getParentRoute: () => tenant,
  path: "/certificates",
  component: lazyRouteComponent(() => import("../certificates/page"), "Certificates"),
});
const backfills = createRoute({
  getParentRoute: () => tenant,
  path: "/backfills",
  component: lazyRouteComponent(() => import("../backfills/list"), "Backfills"),
});
const alerts = createRoute({
  getParentRoute: () => tenant,
  path: "/alerts",
  component: lazyRouteComponent(() => import("../alerts/settings"), "Alerts"),
});
const drifts = createRoute({
  getParentRoute: () => tenant,
  path: "/drifts",
  validateSearch: (search) => chosen(search, ["state"]),
  component: lazyRouteComponent(() => import("../drifts/list"), "Drifts"),
});
const sunsets = createRoute({
  getParentRoute: () => tenant,
  path: "/sunsets",
  component: lazyRouteComponent(() => import("../sunsets/list"), "Sunsets"),
});
const files = createRoute({
  getParentRoute: () => tenant,
  path: "/files",
  validateSearch: (search) => chosen(search, ["connection"]),
  component: lazyRouteComponent(() => import("../files/list"), "Files"),
});
const interchanges = createRoute({
  getParentRoute: () => tenant,
  path: "/interchanges",
  component: lazyRouteComponent(() => import("../interchanges/list"), "Interchanges"),
});
const incidents = createRoute({
  getParentRoute: () => tenant,
  path: "/incidents",
  validateSearch: (search) => chosen(search, ["all"]),
  component: lazyRouteComponent(() => import("../incidents/list"), "IncidentList"),
});
const audit = createRoute({
  getParentRoute: () => tenant,
  path: "/audit",
  validateSearch: (search) => chosen(search, ["q", "as", "by", "action", "kind", "from", "until", "event"]),
  component: lazyRouteComponent(() => import("../audit/list"), "Audit"),
});
const auditVerify = createRoute({
  getParentRoute: () => tenant,
  path: "/audit/verify",
  component: lazyRouteComponent(() => import("../audit/check"), "AuditCheck"),
});
const auditEvent = createRoute({
  getParentRoute: () => tenant,
  path: "/audit/events/$eventId",
  validateSearch: (search) => chosen(search, ["find", "at", "as"]),
  component: lazyRouteComponent(() => import("../audit/event-page"), "AuditEventPage"),
});
const inventory = createRoute({
  getParentRoute: () => tenant,
  path: "/inventory",
  validateSearch: (search) => chosen(search, ["sku", "risk", "item"]),
  component: lazyRouteComponent(() => import("../inventory/list"), "Inventory"),
});
const inventoryPolicy = createRoute({
  getParentRoute: () => tenant,
  path: "/inventory/policy",
  component: lazyRouteComponent(() => import("../inventory/policy"), "InventoryPolicyPage"),
});
const usage = createRoute({
  getParentRoute: () => tenant,
  path: "/usage",
  validateSearch: (search) => chosen(search, ["month"]),
  component: lazyRouteComponent(() => import("../usage/page"), "Usage"),
});
const invoices = createRoute({
  getParentRoute: () => tenant,
  path: "/usage/invoices",
  validateSearch: (search) => chosen(search, ["month"]),
  component: lazyRouteComponent(() => import("../invoices/list"), "Invoices"),
});
const invoice = createRoute({
  getParentRoute: () => tenant,
  path: "/usage/invoices/$invoiceId",
  component: lazyRouteComponent(() => import("../invoices/detail"), "InvoicePage"),
});
const settings = createRoute({
  getParentRoute: () => tenant,
  path: "/settings",
  component: lazyRouteComponent(() => import("../settings/settings"), "Settings"),
});
const settingsPart = (path: "/" | "/people" | "/sign-on" | "/directory" | "/api-keys" | "/account" | "/audit-log" | "/support" | "/tenant", component: ReturnType<typeof lazyRouteComponent>) =>
  createRoute({ getParentRoute: () => settings, path, component });
const settingsParts = [
  settingsPart("/", lazyRouteComponent(() => import("../settings/settings"), "FirstPart")),
  settingsPart("/people", lazyRouteComponent(() => import("../settings/people"), "People")),
  settingsPart("/sign-on", lazyRouteComponent(() => import("../identity/page"), "SignOn")),
  settingsPart("/directory", lazyRouteComponent(() => import("../identity/directory"), "Directory")),
  settingsPart("/api-keys", lazyRouteComponent(() => import("../settings/api-keys"), "ApiKeys")),
  settingsPart("/account", lazyRouteComponent(() => import("../settings/account"), "Account")),
  settingsPart("/tenant", lazyRouteComponent(() => import("../settings/tenant"), "ThisTenant")),
  settingsPart("/audit-log", lazyRouteComponent(() => import("../settings/audit-log"), "AuditLog")),
  settingsPart("/support", lazyRouteComponent(() => import("../support/settings"), "SupportSettings")),
];

const pages = [overview, exceptions, exceptionGroup, deliveries, records, record, connections, catalog, connect, connectionHealth, connection, flows, flowsMap, newFlow, flow, mapping, undo, newSwap, swap, lookupTables, lookupTable, reconciliations, reconciliation, certificates, backfills, alerts, drifts, sunsets, files, interchanges, incidents, audit, auditVerify, auditEvent, inventory, inventoryPolicy, usage, invoices, invoice, settings.addChildren(settingsParts)];

/** A query is text in the address and stays text: `q=1042` is no number, and `q="1042"` would be ugly to read. */
const parseSearch = (search: string) => Object.fromEntries(new URLSearchParams(search));
const stringifySearch = (search: Record<string, unknown>) => {
  const query = new URLSearchParams(Object.entries(search).flatMap(([key, value]) => (value === undefined || value === "" ? [] : [[key, String(value)]]))).toString();
  return query ? `?${query}` : "";
};

export const router = createRouter({
  routeTree: root.addChildren([signIn, company, consent, invitation, password, verify, home, own.addChildren([account, support]), tenant.addChildren(pages)]),
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  scrollRestoration: false,
  defaultErrorComponent: PageProblem,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
