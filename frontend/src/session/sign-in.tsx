// Signing in. Where somebody wanted to go is kept in the address, and only addresses of this app are followed.
import { useEffect, useState } from "react";
import { Link, Navigate, useNavigate, useRouter, useSearch } from "@tanstack/react-router";
import { Field } from "../ui/field";
import { Problem, sentence } from "../ui/state";
import { hasPasskeys, showPasskey, type PasskeyAsked } from "./passkey";
import { NotSignedOut } from "./not-signed-out";
import { adoptSession, isSignedIn, mayAdopt, signIn } from "./session";
import { DONE, WANTED_KEY, reasonOf } from "./sso";

export function SignIn() {
  const { to, sso } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const router = useRouter();
  const [isBusy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string | null>(null);
  const [needsCode, setNeedsCode] = useState(false);
  const [asked, setAsked] = useState<PasskeyAsked | null>(null);
  const [error, setError] = useState<unknown>(null);
  // The company's sign-in has ended well: what it left in the cookie is taken.
  const [isBack, setBack] = useState(() => sso === DONE && mayAdopt());
  const wanted = to ?? (isBack ? sessionStorage.getItem(WANTED_KEY) : null);
  const next = wanted && /^\/(?![/\\])/.test(wanted) ? wanted : "/";
  useEffect(() => {
    if (!isBack) return;
    adoptSession()
      .then(async (isAdopted) => {
        sessionStorage.removeItem(WANTED_KEY);
        if (!isAdopted) return setBack(false);
        await router.invalidate();
        await navigate({ href: next, replace: true });
      })
      .catch((failure: unknown) => {
        setBack(false);
        setError(failure);
      });
    // Once, for the way back.
  }, []);
  if (isBack) return <main className="sign-in" aria-busy="true" />;
  if (isSignedIn() && !isBusy) return <Navigate to={next} replace />;
  const refused = reasonOf(sso);
  const submit = async (form: FormData, withKey = false) => {
    setBusy(true);
    setWrong(null);
    setError(null);
    try {
      const code = form.get("code");
      const shown = withKey && asked ? await showPasskey(asked) : null;
      if (withKey && !shown) return setWrong("No key answered. Try again, or enter a code.");
      const refusal = await signIn(String(form.get("email")), String(form.get("password")), typeof code === "string" && !shown ? code : null, shown);
      if (refusal?.needsSso) {
        await navigate({ to: "/company", search: { who: String(form.get("email")), ...(to ? { to } : {}) } });
      } else if (refusal) {
        // That a code is asked for is nothing that went wrong.
        setWrong(refusal.needsCode && !needsCode ? null : sentence(refusal.reason));
        setNeedsCode(refusal.needsCode);
        setAsked(hasPasskeys() ? refusal.passkey : null);
      } else {
        await router.invalidate();
        await navigate({ href: next, replace: true });
      }
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <main className="sign-in">
      <form
        className="panel stack"
        onSubmit={(event) => {
          event.preventDefault();
          void submit(new FormData(event.currentTarget));
        }}
      >
        <div className="row">
          <img src="/icon.svg" alt="" width="28" height="28" />
          <h1>Sign in to Crossdock</h1>
        </div>
        <NotSignedOut />
        {Boolean(error) && <Problem error={error} />}
        {refused && <p role="alert">{refused}</p>}
        <Field label="E-mail">{(props) => <input {...props} name="email" type="email" autoComplete="username" required autoFocus />}</Field>
        <Field label="Password" wrong={needsCode ? null : wrong}>
          {(props) => <input {...props} name="password" type="password" autoComplete="current-password" required />}
        </Field>
        {needsCode && asked && (
          <button type="button" className="button main-act" disabled={isBusy} onClick={(event) => event.currentTarget.form && void submit(new FormData(event.currentTarget.form), true)}>
            Use your passkey or security key
          </button>
        )}
        {needsCode && (
          <Field label="Code" help="What your authenticator app shows, or one of your recovery codes." wrong={wrong}>
            {(props) => <input {...props} name="code" autoComplete="one-time-code" autoCapitalize="characters" spellCheck={false} required={!asked} autoFocus={!asked} />}
          </Field>
        )}
        <button type="submit" className={asked ? "button" : "button main-act"} disabled={isBusy}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
        <Link to="/company" search={to ? { to } : {}}>
          Sign in with your company
        </Link>
        <Link to="/password">Forgot your password?</Link>
        <p className="muted small">No account yet? An owner or admin of your tenant invites you; the first one is made with “crossdock user create”.</p>
      </form>
    </main>
  );
}
