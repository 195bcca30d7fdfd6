// Below a page that is of no tenant: out of the session, or to one's own account.
import { Link } from "@tanstack/react-router";
import { signOut } from "./session";

export function WayOut() {
  return (
    <div className="row apart">
      <button type="button" className="button quiet" onClick={() => void signOut()}>
        Sign out
      </button>
      <Link to="/account">Your account</Link>
    </div>
  );
}
