// One's own second factor: set up with an app, kept on paper, taken away. What is shown of it is shown once, because nobody keeps it.
import { useState } from "react";
import { encode } from "uqr";
import { Dialog } from "../ui/dialog";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { useShownOnce } from "../ui/shown-once";
import { Time } from "../ui/time";
import { RecoveryCodesMakeDocument, SecondFactorBeginDocument, SecondFactorConfirmDocument, SecondFactorRemoveDocument } from "./query.generated";

/** So few recovery codes are a reason to make others. */
export const FEW = 3;
/** Where nobody saw them. */
export const CODES_LOST = "Recovery codes were made and could not be shown, because their page was left: make others under your account. Those before are no good any more.";

interface InUse {
  since: string;
  recoveryCodesLeft: number;
}
interface Setup {
  secret: string;
  uri: string;
}

/** `whenSet` is called once the recovery codes have been kept. */
export function SecondFactor({ inUse, hasKeys = false, whenSet }: { inUse: InUse | null; hasKeys?: boolean; whenSet?: () => void }) {
  const [step, setStep] = useState<"begin" | "codes" | "remove" | null>(null);
  const [setup, setSetup] = useState<Setup | null>(null);
  const [codes, setCodes] = useShownOnce<readonly string[]>(CODES_LOST);
  const close = () => setStep(null);
  return (
    <section className="panel stack tight">
      <div className="row">
        <h2>Authenticator app</h2> {inUse ? <Badge tone="good">on</Badge> : <Badge tone="warn">off</Badge>}
      </div>
      {inUse ? (
        <>
          <p className="muted">
            Since <Time at={inUse.since} /> each sign-in asks for a code of your app. {inUse.recoveryCodesLeft} of your recovery codes are left
            {inUse.recoveryCodesLeft <= FEW ? ": make others before you need them." : "."}
          </p>
          <div className="row">
            <button type="button" className="button" onClick={() => setStep("codes")}>
              Make other recovery codes
            </button>
            <button type="button" className="button" onClick={() => setStep("remove")}>
              Take it away
            </button>
          </div>
        </>
      ) : (
        <>
          <p className="muted">With it, who learns your password still cannot sign in: a code of an app on your phone is asked for, too.</p>
          <div>
            <button type="button" className="button main-act" onClick={() => setStep("begin")}>
              Set up an app
            </button>
          </div>
        </>
      )}
      {step === "begin" && <Begin hasKeys={hasKeys} close={close} show={setSetup} />}
      {step === "codes" && <OtherCodes close={close} show={setCodes} />}
      {step === "remove" && <Remove close={close} />}
      {setup && <Confirm setup={setup} close={() => setSetup(null)} show={setCodes} />}
      {codes && <Paper codes={codes} close={() => { setCodes(null); whenSet?.(); }} />}
    </section>
  );
}

function Begin({ hasKeys, close, show }: { hasKeys: boolean; close: () => void; show: (setup: Setup) => void }) {
  const act = useFormAct(
    SecondFactorBeginDocument,
    (result) => result.secondFactorBegin,
    () => null,
    ({ secondFactorBegin: { setup } }) => {
      if (setup) show(setup);
      close();
    },
  );
  return (
    <FormDialog title="Set up an app" label="Go on" act={act} fields={["password", "code"]} close={close} submit={(form) => act.run({ password: String(form.get("password")), code: hasKeys ? String(form.get("code")) : null })}>
      <Password wrong={act.wrong("password")} />
      {hasKeys && (
        <Field label="One of your recovery codes" wrong={act.wrong("code")}>
          {(props) => <input {...props} name="code" autoComplete="off" spellCheck={false} required />}
        </Field>
      )}
    </FormDialog>
  );
}

function Confirm({ setup, close, show }: { setup: Setup; close: () => void; show: (codes: readonly string[]) => void }) {
  const act = useFormAct(
    SecondFactorConfirmDocument,
    (result) => result.secondFactorConfirm,
    ({ secondFactorConfirm: { recoveryCodes } }) => {
      if (recoveryCodes) show(recoveryCodes);
      return null;
    },
    close,
  );
  return (
    <FormDialog
      title="Tell your app"
      about="Scan this with an authenticator app, or type the secret in; then enter the code that it shows. It ends all of your sessions but this one."
      label="Turn it on"
      act={act}
      fields={["code"]}
      close={close}
      submit={(form) => act.run({ code: String(form.get("code")) })}
    >
      <Qr text={setup.uri} />
      <p className="muted small">
        The secret: <code className="break">{setup.secret.match(/.{1,4}/g)?.join(" ")}</code>
      </p>
      <Code wrong={act.wrong("code")} />
    </FormDialog>
  );
}

/** Makes other recovery codes, and shows them. */
export function useOtherCodes(show: (codes: readonly string[]) => void, close: () => void) {
  return useFormAct(
    RecoveryCodesMakeDocument,
    (result) => result.recoveryCodesMake,
    ({ recoveryCodesMake: { recoveryCodes } }) => {
      if (recoveryCodes) show(recoveryCodes);
      return null;
    },
    close,
  );
}

function OtherCodes({ close, show }: { close: () => void; show: (codes: readonly string[]) => void }) {
  const act = useOtherCodes(show, close);
  return (
    <FormDialog title="Make other recovery codes" about="Those that you have are no good any more then." label="Make them" act={act} fields={["password", "code"]} close={close} submit={(form) => act.run(shown(form))}>
      <Password wrong={act.wrong("password")} />
      <Code wrong={act.wrong("code")} />
    </FormDialog>
  );
}

function Remove({ close }: { close: () => void }) {
  const act = useFormAct(SecondFactorRemoveDocument, (result) => result.secondFactorRemove, () => "Your second factor is gone: your password alone signs you in.", close);
  return (
    <FormDialog title="Take the second factor away" about="For another app or phone: take it away, and set it up anew." label="Take it away" act={act} fields={["password", "code"]} close={close} submit={(form) => act.run(shown(form))}>
      <Password wrong={act.wrong("password")} />
      <Code wrong={act.wrong("code")} />
    </FormDialog>
  );
}

export function Paper({ codes, close }: { codes: readonly string[]; close: () => void }) {
  return (
    <Dialog title="Your recovery codes" about="Each signs you in once in the place of a code, on the day your phone is lost. They are shown this once: print them, or keep them where your app is not." isHeld open close={close}>
      <ul className="stack tight">
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <div>
        <button type="button" className="button main-act" onClick={close}>
          I have kept them
        </button>
      </div>
    </Dialog>
  );
}

function shown(form: FormData) {
  return { password: String(form.get("password")), code: String(form.get("code")) };
}

function Password({ wrong }: { wrong: string | null }) {
  return (
    <Field label="Your password" wrong={wrong}>
      {(props) => <input {...props} name="password" type="password" autoComplete="current-password" required />}
    </Field>
  );
}

function Code({ wrong }: { wrong: string | null }) {
  return (
    <Field label="The code of your app" wrong={wrong}>
      {(props) => <input {...props} name="code" autoComplete="one-time-code" spellCheck={false} required />}
    </Field>
  );
}

/** A QR code as one path: no markup is made of text. Black on white in either theme, because cameras want it so. */
function Qr({ text }: { text: string }) {
  const { data, size } = encode(text, { ecc: "M", border: 4 });
  const dark = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])));
  return (
    <svg viewBox={`0 0 ${size} ${size}`} width="200" height="200" role="img" aria-label="QR code for your authenticator app" shapeRendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={dark.join("")} fill="#000" />
    </svg>
  );
}
