// The frame of the pages that are no tenant's: one's own account, and the desk of the staff.
import { useEffect, useRef } from "react";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { signOut } from "../session/session";
import { Offline } from "./offline";
import { useViewer } from "./tenants";
import { useTheme } from "./theme";

export function OwnFrame() {
  const viewer = useViewer().data?.viewer;
  const [theme, turnTheme] = useTheme();
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [pathname]);
  return (
    <div className="own">
      <a href="#main" className="skip" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to the page
      </a>
      <header className="top row apart">
        <Link to="/" className="brand">
          <img src="/icon.svg" alt="" /> Crossdock
        </Link>
        <nav className="row" aria-label="Pages">
          {viewer?.isStaff && (
            <Link to="/support" search={{}} className="button quiet">
              Support console
            </Link>
          )}
          <Link to="/account" className="button quiet">
            Your account
          </Link>
          {viewer?.memberships.map(({ tenant }) => (
            <Link key={tenant.id} to="/t/$tenant" params={{ tenant: tenant.slug }} className="button quiet">
              {tenant.name}
            </Link>
          ))}
        </nav>
        <div className="row">
          <button type="button" className="button quiet" onClick={turnTheme}>
            {theme === "dark" ? "Light theme" : "Dark theme"}
          </button>
          <button type="button" className="button quiet" onClick={() => void signOut()}>
            Sign out
          </button>
        </div>
      </header>
      <main className="main" id="main" ref={main} tabIndex={-1}>
        <Offline />
        <Outlet />
      </main>
    </div>
  );
}
