// Which group of the provider gives which role.
import { ROLES, useMay } from "../app/role";
import type { ProviderNode } from "./provider";

export type Role = ProviderNode["roles"][number]["role"];
export interface GroupRow {
  key: number;
  group: string;
  role: Role;
}
const GROUPS_MAX = 200;

/** The roles that this person may have given. */
export function RoleOptions({ before = "" }: { before?: string }) {
  const may = useMay();
  return Object.keys(ROLES)
    .filter((role) => role !== "OWNER" || may("owners"))
    .map((role) => (
      <option key={role} value={role}>
        {before}
        {role.toLowerCase()}
      </option>
    ));
}

export function Groups({ rows, change, wrong }: { rows: GroupRow[]; change: (rows: GroupRow[]) => void; wrong: string | null }) {
  const edit = (key: number, next: Partial<GroupRow>) => change(rows.map((row) => (row.key === key ? { ...row, ...next } : row)));
  return (
    <div className="field" role="group" aria-label="Groups and roles" aria-describedby={wrong ? "groups-wrong" : undefined}>
      <span className="help">Of several groups the most powerful role counts. It follows the groups at each sign-in.</span>
      <ul className="stack tight">
        {rows.map((row, index) => (
          <li key={row.key} className="row pair">
            <input className="mono" aria-label={`Group ${index + 1}`} placeholder="crossdock-operators" maxLength={200} value={row.group} onChange={(event) => edit(row.key, { group: event.target.value })} spellCheck={false} autoComplete="off" aria-invalid={wrong !== null} />
            <span className="muted">comes in as</span>
            <select aria-label={`Role of group ${index + 1}`} value={row.role} onChange={(event) => edit(row.key, { role: event.target.value as Role })}>
              <RoleOptions />
            </select>
            <button type="button" className="button quiet" aria-label={`Take group ${index + 1} away`} onClick={() => change(rows.filter((one) => one.key !== row.key))}>
              ✕
            </button>
          </li>
        ))}
      </ul>
      <div>
        <button type="button" className="button" disabled={rows.length >= GROUPS_MAX} onClick={() => change([...rows, { key: Math.max(0, ...rows.map((row) => row.key + 1)), group: "", role: "OPERATOR" }])}>
          Add a group
        </button>
      </div>
      {wrong && (
        <span className="wrong" id="groups-wrong" role="alert">
          {wrong}
        </span>
      )}
    </div>
  );
}
