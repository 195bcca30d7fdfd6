// Signing in with one's company: whose sign-in that is, and off to it. A link from elsewhere leads here with the name filled in, so that nobody is sent to a
// provider of somebody else's choice without a press of the button.
import { useState } from "react";
import { Link, useSearch } from "@tanstack/react-router";
import { Field } from "../ui/field";
import { signOutAgain } from "./session";
import { WANTED_KEY, startOf } from "./sso";

export function Company() {
  const { who, to } = useSearch({ from: "/company" });
  const [isBusy, setBusy] = useState(false);
  const leave = async (company: string) => {
    setBusy(true);
    try {
      // A session that was left behind is ended first: the new one takes its place in the cookie, and from then on this browser could not end it.
      await signOutAgain();
      if (to) sessionStorage.setItem(WANTED_KEY, to);
      window.location.assign(startOf(company));
    } finally {
      // Who comes back by the browser's own button finds the page as it was left.
      setBusy(false);
    }
  };
  return (
    <main className="sign-in">
      <form
        className="panel stack"
        onSubmit={(event) => {
          event.preventDefault();
          void leave(String(new FormData(event.currentTarget).get("who")));
        }}
      >
        <h1>Sign in with your company</h1>
        <Field label="Your company’s name at Crossdock, or your e-mail address">
          {(props) => <input {...props} name="who" defaultValue={who} autoComplete="username" autoCapitalize="none" spellCheck={false} required autoFocus />}
        </Field>
        <button type="submit" className="button main-act" disabled={isBusy}>
          {isBusy ? "Going on…" : "Go on"}
        </button>
        <Link to="/sign-in" search={to ? { to } : {}}>
          Sign in with a password
        </Link>
      </form>
    </main>
  );
}
