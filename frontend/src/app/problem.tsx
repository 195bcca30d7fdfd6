// A page that is not there, and a page that broke.
import { Link, type ErrorComponentProps } from "@tanstack/react-router";
import { Empty, Problem } from "../ui/state";

export function NotFound() {
  return (
    <main className="main">
      <NoSuchPage />
    </main>
  );
}

/** The same where the tenant is known: its pages stay around it, and with them the ways on. */
export function NoSuchPage() {
  return (
    <Empty isPage title="There is no such page">
      <p>The address may be cut off, or what it named is gone. Start from the overview, or search for any id you have under Records.</p>
      <Link to="/" className="button">
        Go to the overview
      </Link>
    </Empty>
  );
}

export function PageProblem({ error, reset }: ErrorComponentProps) {
  return <Problem error={error} retry={reset} />;
}
