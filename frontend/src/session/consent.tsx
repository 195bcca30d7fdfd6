// Where somebody comes back to from a vendor, and it is not known here of which connection: it says so in its own words, whatever the address says.
import { Link, useSearch } from "@tanstack/react-router";

const WHY: Record<string, string> = {
  not_begun_here:
    "This browser did not ask for it, it was ended already, or it took longer than ten minutes.",
  signed_out: "You were signed out meanwhile, or may not connect accounts any more.",
  internal: "Something on our side failed.",
};

export function ConsentLost() {
  const { ended } = useSearch({ from: "/consent" });
  return (
    <main className="sign-in">
      <div className="panel stack">
        <h1>Nothing was connected</h1>
        <p role="alert">{WHY[ended ?? ""] ?? WHY["not_begun_here"]}</p>
        <p>Sign in, open the connection and connect again. If you did not mean to connect anything, there is nothing to do: what came back was not used.</p>
        <Link className="button main-act" to="/">
          Go to Crossdock
        </Link>
      </div>
    </main>
  );
}
