// One's own account: whether its address is proven, its password, and where one is signed in.
import { useRef } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useHeld } from "../api/hooks";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { deviceOf } from "./device";
import { Passkeys } from "./passkeys";
import { SecondFactor } from "./second-factor";
import {
  AccountDocument,
  EmailVerificationAskDocument,
  PasswordChangeDocument,
  SessionRevokeDocument,
  SessionRevokeOthersDocument,
  SessionsDocument,
  type SessionsQuery,
} from "./query.generated";

type Session = SessionsQuery["sessions"][number];
const PASSWORD_MIN = 12;

export function Account() {
  if (useHeld()) {
    return (
      <div className="panel">
        <Empty title="You have no account in a tenant’s place">
          <p>Your own account is not the tenant’s, and has a page of its own.</p>
          <Link to="/account" className="button">
            Go to your account
          </Link>
        </Empty>
      </div>
    );
  }
  return <Own />;
}

/** The page of it, outside of any tenant. */
export function AccountPage() {
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Your account</h1>
          <p>Your address, your password, your second factor, and where you are signed in. It is the same in every tenant.</p>
        </div>
      </div>
      <Own />
    </div>
  );
}

function Own() {
  const asked = useAsk(AccountDocument, {});
  const account = asked.data?.account;
  return (
    <>
      <div className="halves">
        <section className="panel stack tight">
          <h2>E-mail</h2>
          {asked.error && !asked.data ? (
            <Problem error={asked.error} retry={() => void asked.refetch()} />
          ) : !account ? (
            <Loading what="your account" />
          ) : (
            <>
              <p className="row">
                <strong className="break">{account.email}</strong> {account.emailVerifiedAt ? <Badge tone="good">proven</Badge> : <Badge tone="warn">not proven</Badge>}
              </p>
              {account.emailVerifiedAt ? (
                <p className="muted">
                  Since <Time at={account.emailVerifiedAt} /> it is known that mails to it reach you.
                </p>
              ) : (
                <>
                  <p className="muted">Nobody knows yet whether mails reach you: the way back in when a password is lost.</p>
                  <div>
                    <ActButton document={EmailVerificationAskDocument} values={{}} payloadOf={(act) => act.emailVerificationAsk} label="Send me a mail to prove it" done="A mail is on its way. Its link works once, within a day." />
                  </div>
                </>
              )}
            </>
          )}
        </section>
        <Password email={account?.email ?? ""} />
      </div>
      {account && <SecondFactor inUse={account.secondFactor ?? null} hasKeys={account.passkeys.length > 0} />}
      {account && <Passkeys keys={account.passkeys} hasApp={Boolean(account.secondFactor)} codesLeft={account.recoveryCodesLeft} />}
      {/* Below what is not known before. */}
      {!asked.isPending && <Sessions />}
    </>
  );
}

function Password({ email }: { email: string }) {
  const form = useRef<HTMLFormElement>(null);
  const act = useFormAct(PasswordChangeDocument, (result) => result.passwordChange, () => "Your new password is set, and all of your other sessions have ended.", () => form.current?.reset());
  return (
    <form
      ref={form}
      className="panel stack"
      onSubmit={(event) => {
        event.preventDefault();
        const given = new FormData(event.currentTarget);
        act.run({ current: String(given.get("current")), password: String(given.get("password")) });
      }}
    >
      <h2>Password</h2>
      <FormErrors act={act} fields={["current", "password"]} />
      {/* So that password managers know whose it is. */}
      <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
      <Field label="The one you have" wrong={act.wrong("current")}>
        {(props) => <input {...props} name="current" type="password" autoComplete="current-password" required />}
      </Field>
      <Field label={`The new one, ${PASSWORD_MIN} characters at least`} wrong={act.wrong("password")}>
        {(props) => <input {...props} name="password" type="password" autoComplete="new-password" required />}
      </Field>
      <p className="muted small">It ends all of your sessions but this one.</p>
      <div>
        <button type="submit" className="button main-act" disabled={act.isBusy}>
          {act.isBusy ? "Working…" : "Change the password"}
        </button>
      </div>
    </form>
  );
}

function Sessions() {
  const asked = useAsk(SessionsDocument, {}, { everyMs: 30_000 });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="your sessions" />;
  const rows = [...asked.data.sessions];
  const columns: Column<Session>[] = [
    {
      header: "Where",
      accessorFn: (one) => deviceOf(one.device),
      cell: ({ row: { original: one } }) => (
        <span className="break" title={one.device}>
          {deviceOf(one.device)} {one.isCurrent && <Badge tone="good">this one</Badge>}
        </span>
      ),
    },
    { header: "Address", accessorFn: (one) => one.address ?? "", cell: ({ row }) => (row.original.address ? <code>{row.original.address}</code> : <span className="muted">not known</span>) },
    { header: "Last used", accessorKey: "lastUsedAt", cell: ({ row }) => <Time at={row.original.lastUsedAt} as="ago" /> },
    { header: "Signed in", accessorKey: "openedAt", cell: ({ row }) => <Time at={row.original.openedAt} /> },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: one } }) =>
        !one.isCurrent && (
          <ActButton document={SessionRevokeDocument} values={{ id: one.id }} payloadOf={(act) => act.sessionRevoke} label="End it" name={`End it: ${deviceOf(one.device)}`} done="It has ended: whoever has it is signed out." />
        ),
    },
  ];
  return (
    <section className="panel flush">
      <div className="row apart">
        <h2>Where you are signed in</h2>
        {rows.length > 1 && <ActButton document={SessionRevokeOthersDocument} values={{}} payloadOf={(act) => act.sessionRevokeOthers} label="End all others" done="All of your sessions but this one have ended." />}
      </div>
      <p className="muted small padded">“Last used” is exact to ten minutes. If you do not know one of them, end it and change your password.</p>
      <Table label="Your sessions" columns={columns} rows={rows} idOf={(one) => one.id} />
    </section>
  );
}
