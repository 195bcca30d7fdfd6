// The catalog: every system that this installation can connect, by category and by what one types.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { isRefused } from "../api/client";
import { SELDOM, useAsk, useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Empty, Loading, Problem } from "../ui/state";
import { CatalogDocument } from "./query.generated";

export function ConnectorCatalog() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const { q = "", category = "" } = useSearch({ from: "/t/$tenant/connections/new" });
  const asked = useAsk(CatalogDocument, {}, SELDOM);
  const all = asked.data?.connectors ?? [];
  const categories = [...new Set(all.map((one) => one.category))].sort();
  const text = q.trim().toLowerCase();
  const shown = all.filter((one) => (!category || one.category === category) && (!text || `${one.title} ${one.name} ${one.category}`.toLowerCase().includes(text)));
  const narrow = (change: { q?: string; category?: string }) =>
    void navigate({ to: "/t/$tenant/connections/new", params: { tenant }, search: { q, category, ...change }, replace: true });
  return (
    <div className="stack">
      <div>
        <p className="crumb">
          <Link to="/t/$tenant/connections" params={{ tenant }}>
            Connections
          </Link>
        </p>
        <div className="head">
          <div>
            <h1>Connect a system</h1>
            <p>Choose what it is. Next you are asked for its settings and its credential.</p>
          </div>
        </div>
      </div>
      <div className="row" role="search">
        <label className="hidden-label" htmlFor="find-connector">
          Search connectors
        </label>
        <input id="find-connector" type="search" placeholder="Search connectors" style={{ maxWidth: 320 }} defaultValue={q} onChange={(event) => narrow({ q: event.target.value })} autoFocus />
        <label className="hidden-label" htmlFor="find-category">
          Category
        </label>
        <select id="find-category" value={category} onChange={(event) => narrow({ category: event.target.value })}>
          <option value="">All categories</option>
          {categories.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </div>
      {asked.error && (!asked.data || isRefused(asked.error)) && <Problem error={asked.error} retry={() => void asked.refetch()} />}
      {!asked.data && !asked.error && <Loading what="the catalog" />}
      {asked.data && shown.length === 0 && (
        <div className="panel">
          <Empty title="No connector fits">
            <p>A connector is a folder of files, and any system with an HTTP API can have one. “HTTP” takes signed webhooks from whatever you have.</p>
          </Empty>
        </div>
      )}
      <ul className="cards even">
        {shown.map((one) => (
          <li key={one.name} className="panel stack tight">
            <div className="row apart nowrap-row">
              <h2 id={`connector-${one.name}`}>{one.title}</h2>
              <Badge>{one.category}</Badge>
            </div>
            <p className="muted small">{one.version ? `API version ${one.version}` : "Its API has no versions"}</p>
            {one.available ? (
              <Link className="button" aria-describedby={`connector-${one.name}`} to="/t/$tenant/connections/new/$connector" params={{ tenant, connector: one.name }}>
                Connect
              </Link>
            ) : (
              <p className="note bad small">Its files are broken, so it cannot be connected: {one.unavailableReason}</p>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
