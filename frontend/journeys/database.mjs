// The demo's database, for what no page does yet: a second person, and a comparison that does not wait for the minutes in which things settle. The
// folder of the demo's logs has the database's name.
import { execFileSync } from "node:child_process";
import { basename } from "node:path";

export function sql(stack, statement) {
  const url = new URL(process.env.DATABASE_ADMIN_URL ?? "postgres://postgres@127.0.0.1:5432/postgres");
  url.pathname = `/${basename(stack.logs)}`;
  return execFileSync("psql", [url.href, "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1", "--command", statement], { encoding: "utf8" }).trim();
}

/** Somebody else in the demo's tenant, with the same password and this role. */
export function colleague(stack, email, role) {
  sql(stack, `WITH one AS (INSERT INTO users (id, email, name, password_hash) SELECT gen_random_uuid(), '${email}', 'Grace', password_hash FROM users LIMIT 1 RETURNING id) INSERT INTO members (tenant_id, user_id, role) SELECT tenants.id, one.id, '${role}' FROM one, tenants WHERE slug = 'acme'`);
}

/** Somebody of the installation's staff, with the same password and no place in any tenant, as `crossdock user staff-grant` makes them. */
export function staff(stack, email, name) {
  sql(stack, `WITH one AS (INSERT INTO users (id, email, name, password_hash) SELECT gen_random_uuid(), '${email}', '${name}', password_hash FROM users LIMIT 1 RETURNING id) INSERT INTO staff (user_id) SELECT id FROM one`);
}
