// One's own passkeys and security keys: registered, named, taken away. A code of the app, a recovery code or one of the keys is shown where one changes what is
// asked for.
import { useState } from "react";
import { useQueryClient } from "@tanstack/react-query";
import { ask } from "../api/client";
import { createPasskey, hasPasskeys, showPasskey, type PasskeyAnswer } from "../session/passkey";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { useTell } from "../ui/notice";
import { useShownOnce } from "../ui/shown-once";
import { sentence } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { CODES_LOST, FEW, Paper, useOtherCodes } from "./second-factor";
import { PasskeyAskDocument, PasskeyBeginDocument, PasskeyRegisterDocument, PasskeyRemoveDocument, PasskeyRenameDocument, type AccountQuery } from "./query.generated";

type Key = NonNullable<AccountQuery["account"]>["passkeys"][number];
/** Where people look for their keys most often: what the field offers. */
const NAME = "This device";

interface Props {
  keys: readonly Key[];
  /** An app is asked for, too: its section has the recovery codes. */
  hasApp: boolean;
  codesLeft: number;
  whenSet?: () => void;
}

export function Passkeys({ keys, hasApp, codesLeft, whenSet }: Props) {
  const hasFactor = hasApp || keys.length > 0;
  const [dialog, setDialog] = useState<{ act: "add" | "codes" } | { act: "rename" | "remove"; key: Key } | null>(null);
  const [codes, setCodes] = useShownOnce<readonly string[]>(CODES_LOST);
  const close = () => setDialog(null);
  const columns: Column<Key>[] = [
    { header: "Name", accessorKey: "name", cell: ({ row }) => <span className="break">{row.original.name}</span> },
    { header: "Registered", accessorKey: "createdAt", cell: ({ row }) => <Time at={row.original.createdAt} /> },
    { header: "Last used", accessorFn: (key) => key.lastUsedAt ?? "", cell: ({ row }) => (row.original.lastUsedAt ? <Time at={row.original.lastUsedAt} as="ago" /> : <span className="muted">never</span>) },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: key } }) => (
        <span className="row">
          <button type="button" className="button quiet" aria-label={`Rename ${key.name}`} onClick={() => setDialog({ act: "rename", key })}>
            Rename
          </button>
          <button type="button" className="button quiet" aria-label={`Take away ${key.name}`} onClick={() => setDialog({ act: "remove", key })}>
            Take away
          </button>
        </span>
      ),
    },
  ];
  return (
    <section className="panel stack tight" aria-label="Passkeys and security keys">
      <div className="row">
        <h2>Passkeys and security keys</h2> {keys.length > 0 ? <Badge tone="good">on</Badge> : <Badge tone="info">none</Badge>}
      </div>
      <p className="muted">Your phone, your computer or a key in your pocket signs for you, and for this address only: no page that looks like this one gets anything of it. Either it or a code of your app is asked for beside your password.</p>
      {keys.length > 0 && <Table label="Your keys" columns={columns} rows={[...keys]} idOf={(key) => key.id} />}
      {keys.length > 0 && !hasApp && (
        <p className="muted">
          {codesLeft} of your recovery codes are left{codesLeft <= FEW ? ": make others before you need them." : "."}
        </p>
      )}
      <div className="row">
        {hasPasskeys() ? (
          <button type="button" className="button main-act" onClick={() => setDialog({ act: "add" })}>
            Register a key
          </button>
        ) : (
          <span className="muted">This browser knows none here: they need https.</span>
        )}
        {keys.length > 0 && !hasApp && (
          <button type="button" className="button" onClick={() => setDialog({ act: "codes" })}>
            Make other recovery codes
          </button>
        )}
      </div>
      {dialog?.act === "add" && <Add hasFactor={hasFactor} hasKeys={keys.length > 0} close={close} show={setCodes} />}
      {dialog?.act === "codes" && <OtherCodes close={close} show={setCodes} />}
      {dialog?.act === "rename" && <Rename passkey={dialog.key} close={close} />}
      {dialog?.act === "remove" && <Remove passkey={dialog.key} close={close} />}
      {codes && (
        <Paper
          codes={codes}
          close={() => {
            setCodes(null);
            whenSet?.();
          }}
        />
      )}
    </section>
  );
}

type Input = { challengeId: string; credential: unknown };
const input = (answer: PasskeyAnswer): Input => ({ challengeId: answer.challenge, credential: answer.credential });

/** Has one of the person's keys sign, for what they are about to change; null where they did not want to. */
export async function showOwn(password: string): Promise<{ shown: Input } | { wrong: string } | null> {
  const { passkeyAsk } = await ask(PasskeyAskDocument, { password });
  if (passkeyAsk.userErrors[0]) return { wrong: passkeyAsk.userErrors[0].message };
  if (!passkeyAsk.challenge) return null;
  const answer = await showPasskey({ challenge: passkeyAsk.challenge.id, options: passkeyAsk.challenge.options });
  return answer && { shown: input(answer) };
}

/** Of one who has keys: an empty code means that a key is shown. */
function CodeOrKey({ hasKeys, wrong }: { hasKeys: boolean; wrong: string | null }) {
  return (
    <Field label={hasKeys ? "A code, if you have no key at hand" : "A code of your app, or a recovery code"} wrong={wrong}>
      {(props) => <input {...props} name="code" autoComplete="one-time-code" spellCheck={false} required={!hasKeys} />}
    </Field>
  );
}

function Password({ wrong }: { wrong: string | null }) {
  return (
    <Field label="Your password" wrong={wrong}>
      {(props) => <input {...props} name="password" type="password" autoComplete="current-password" required />}
    </Field>
  );
}

function Add({ hasFactor, hasKeys, close, show }: { hasFactor: boolean; hasKeys: boolean; close: () => void; show: (codes: readonly string[]) => void }) {
  const queries = useQueryClient();
  const tell = useTell();
  const [isBusy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<{ field: string; message: string } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const of = (field: string) => (wrong?.field === field ? sentence(wrong.message) : null);
  const refused = (errors: readonly { field: string[]; message: string }[]) => {
    const [first] = errors;
    if (first) setWrong({ field: first.field.at(-1) ?? "", message: first.message });
    return Boolean(first);
  };
  const add = async (form: FormData) => {
    const password = String(form.get("password"));
    const code = String(form.get("code") ?? "");
    let passkey: Input | null = null;
    if (hasKeys && !code) {
      const own = await showOwn(password);
      if (own && "wrong" in own) return setWrong({ field: "password", message: own.wrong });
      if (!own) return setWrong({ field: "code", message: "No key answered. Try again, or enter a code." });
      passkey = own.shown;
    }
    const { passkeyBegin } = await ask(PasskeyBeginDocument, { password, code: code || null, passkey });
    if (refused(passkeyBegin.userErrors) || !passkeyBegin.challenge) return;
    const answer = await createPasskey({ challenge: passkeyBegin.challenge.id, options: passkeyBegin.challenge.options });
    if (!answer) return setWrong({ field: "name", message: "No key answered. It may be registered already, or the browser’s dialogue was closed." });
    const { passkeyRegister } = await ask(PasskeyRegisterDocument, { name: String(form.get("name")), answer: input(answer) });
    if (refused(passkeyRegister.userErrors)) return;
    tell(`${passkeyRegister.passkey?.name ?? "The key"} is registered.`);
    close();
    if (passkeyRegister.recoveryCodes) show(passkeyRegister.recoveryCodes);
    void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "viewer" });
  };
  const act = {
    run: () => {},
    wrong: of,
    errors: wrong && !["password", "code", "name"].includes(wrong.field) ? [{ field: [wrong.field], code: "", message: wrong.message }] : [],
    isBusy,
    error,
  };
  return (
    <FormDialog
      title="Register a key"
      about={hasFactor ? "Your browser asks for it next." : "Your browser asks for it next. From then on each sign-in asks for it, and all of your sessions but this one end."}
      label="Go on"
      act={act}
      fields={["password", "code", "name"]}
      close={close}
      submit={(form) => {
        setBusy(true);
        setWrong(null);
        setError(null);
        void add(form)
          .catch(setError)
          .finally(() => setBusy(false));
      }}
    >
      <Field label="What you call it" wrong={of("name")}>
        {(props) => <input {...props} name="name" defaultValue={NAME} maxLength={100} required />}
      </Field>
      <Password wrong={of("password")} />
      {hasFactor && <CodeOrKey hasKeys={hasKeys} wrong={of("code")} />}
    </FormDialog>
  );
}

function Rename({ passkey, close }: { passkey: Key; close: () => void }) {
  const act = useFormAct(PasskeyRenameDocument, (result) => result.passkeyRename, () => "It has its new name.", close);
  return (
    <FormDialog title={`Rename ${passkey.name}`} label="Keep the name" act={act} fields={["name"]} close={close} submit={(form) => act.run({ id: passkey.id, name: String(form.get("name")) })}>
      <Field label="What you call it" wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" defaultValue={passkey.name} maxLength={100} required />}
      </Field>
    </FormDialog>
  );
}

interface Proof {
  password: string;
  code: string | null;
  passkey: Input | null;
}

/** A form that wants the password and a key or a code, and does one act with them. */
function useProof(run: (proof: Proof) => void) {
  const [wrong, setWrong] = useState<{ password?: string; code?: string }>({});
  const prove = async (form: FormData) => {
    setWrong({});
    const password = String(form.get("password"));
    const code = String(form.get("code") ?? "");
    if (code) return run({ password, code, passkey: null });
    const own = await showOwn(password);
    if (own && "wrong" in own) return setWrong({ password: sentence(own.wrong) });
    if (!own) return setWrong({ code: "No key answered. Try again, or enter a code." });
    run({ password, code: null, passkey: own.shown });
  };
  return { wrong, submit: (form: FormData) => void prove(form).catch((error: Error) => setWrong({ code: sentence(error.message) })) };
}

function Remove({ passkey, close }: { passkey: Key; close: () => void }) {
  const act = useFormAct(PasskeyRemoveDocument, (result) => result.passkeyRemove, () => `${passkey.name} is asked for no more.`, close);
  const { wrong, submit } = useProof((proof) => act.run({ id: passkey.id, ...proof }));
  return (
    <FormDialog title={`Take ${passkey.name} away`} about="Without another key or an app, your password alone signs you in." label="Take it away" act={act} fields={["password", "code"]} close={close} submit={submit}>
      <Password wrong={wrong.password ?? act.wrong("password")} />
      <CodeOrKey hasKeys wrong={wrong.code ?? act.wrong("code")} />
    </FormDialog>
  );
}

function OtherCodes({ close, show }: { close: () => void; show: (codes: readonly string[]) => void }) {
  const act = useOtherCodes(show, close);
  const { wrong, submit } = useProof((proof) => act.run(proof));
  return (
    <FormDialog title="Make other recovery codes" about="Those that you have are no good any more then." label="Make them" act={act} fields={["password", "code"]} close={close} submit={submit}>
      <Password wrong={wrong.password ?? act.wrong("password")} />
      <CodeOrKey hasKeys wrong={wrong.code ?? act.wrong("code")} />
    </FormDialog>
  );
}
