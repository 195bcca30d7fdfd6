// Signing in with one's company: whose sign-in that is, and off to it. A link from elsewhere leads here with the name filled in, so that nobody is sent to a
// provider of somebody else's choice without a press of the button.
import { Link, useSearch } from "@tanstack/react-router";
import { Field } from "../ui/field";
import { signOutAgain } from "./session";
import { WANTED_KEY, startOf } from "./sso";

export function Company() {
  const { who, to } = useSearch({ from: "/company" });
  const leave = async (company: string) => {
    // A session that was left behind is ended first: on the way back nobody could tell it from the new one.
    await signOutAgain();
    if (to) sessionStorage.setItem(WANTED_KEY, to);
    window.location.assign(startOf(company));
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
        <button type="submit" className="button main-act">
          Go on
        </button>
        <Link to="/sign-in" search={to ? { to } : {}}>
          Sign in with a password
        </Link>
      </form>
    </main>
  );
}
