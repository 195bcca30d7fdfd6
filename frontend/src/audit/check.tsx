// Checks an export here, in the browser: the file goes nowhere. What is wrong first is named with its line. And the head of the log, to be kept elsewhere.
import { useEffect, useRef, useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay, usePermissions } from "../app/role";
import { Copy } from "../ui/copy";
import { Field } from "../ui/field";
import { Empty, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { linesOf } from "./lines";
import { AuditHeadDocument } from "./query.generated";
import { canVerify, readHead, Tampered, verify, type Verified } from "./verify";

const COMMAND = "crossdock audit verify audit.jsonl --key";

/** Whoever has an export may check it; only the key and the head are for those who see the log. */
const useHead = (isWanted: boolean) => useAsk(AuditHeadDocument, {}, { isWanted });

export function AuditCheck() {
  const tenant = useTenant();
  const may = useMay();
  const isKnown = usePermissions() !== undefined;
  const head = useHead(isKnown && may("audit"));
  const isReady = (isKnown && !may("audit")) || Boolean(head.data ?? head.error);
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/audit" params={{ tenant }}>
          Audit log
        </Link>
      </p>
      <div className="head">
        <div>
          <h1>Check an export</h1>
          <p>Reads an export of the audit log and names what is wrong first: an event that was altered, is missing, was added or moved, or a seal that was forged. The file stays in this browser.</p>
        </div>
      </div>
      {isReady ? <Ways head={head} /> : <Loading what="the key" />}
    </div>
  );
}

/** Beside each other once it is known what stands in each: the key would push away what is below it. */
function Ways({ head }: { head: ReturnType<typeof useHead> }) {
  const may = useMay();
  const key = head.data?.certificateKey;
  return (
    <div className="grid2">
      <Check known={key ?? ""} />
      <div className="stack">
        <section className="panel stack tight">
          <h2>On another machine</h2>
          <p>These pages come from the installation whose log they check. Who does not want to rely on that checks with the program, which needs no network:</p>
          <code className="document">
            {COMMAND} "{key ?? "…"}"
          </code>
          <p className="muted small">Give the key to your auditor by another way than the file.</p>
        </section>
        {may("audit") && (
          <section className="panel stack tight">
            <h2>Keep a head elsewhere</h2>
            <p>A log whose end was cut off is a good one, only shorter. This line says how far it went: keep one, from time to time, where nobody of this installation reaches it.</p>
            {head.data ? (
              <>
                <Copy text={head.data.auditHead.document} label="The head" />
                <p className="muted small">
                  {counted(head.data.auditHead.events, "event")} in {counted(head.data.auditHead.seal, "seal")}, as of <Time at={head.data.auditHead.madeAt} />.
                </p>
              </>
            ) : (
              <Problem error={head.error} retry={() => void head.refetch()} />
            )}
          </section>
        )}
      </div>
    </div>
  );
}

const counted = (count: number, what: string) => `${count.toLocaleString()} ${what}${count === 1 ? "" : "s"}`;

type Outcome = { good: Verified; hasKey: boolean; hasHead: boolean } | { bad: Tampered | Error };

function Check({ known }: { known: string }) {
  const [isAble, setAble] = useState<boolean | null>(null);
  const [part, setPart] = useState<number | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [wrongHead, setWrongHead] = useState<string | null>(null);
  const isGone = useRef(false);
  useEffect(() => {
    isGone.current = false;
    void canVerify().then(setAble);
    return () => {
      isGone.current = true;
    };
  }, []);
  const run = async (form: FormData) => {
    const file = form.get("file") as File;
    const [key, text] = [String(form.get("key")).trim(), String(form.get("head")).trim()];
    setOutcome(null);
    setWrongHead(null);
    let held;
    try {
      held = text === "" ? undefined : readHead(text);
    } catch {
      setWrongHead("This is no head: it is one line that begins with {\"head\":");
      return;
    }
    setPart(0);
    const lines = linesOf(file, (bytes) => {
      // A page that was left reads no file to its end.
      if (isGone.current) throw new Error("left");
      setPart(file.size === 0 ? 1 : bytes / file.size);
    });
    try {
      const good = await verify(lines, { expected: key === "" ? undefined : key, held });
      setOutcome({ good, hasKey: key !== "", hasHead: held !== undefined });
    } catch (error) {
      setOutcome({ bad: error instanceof Error ? error : new Error("it cannot be read") });
    }
    setPart(null);
  };
  if (isAble === null) return <Loading what="what this browser can" />;
  if (!isAble) {
    return (
      <div className="panel">
        <Empty title="This browser cannot check signatures">
          <p>It has no Ed25519 for pages, or the page came over plain http. Use a newer browser over https, or check with the program:</p>
          <code>
            {COMMAND} "{known || "…"}"
          </code>
        </Empty>
      </div>
    );
  }
  return (
    <div className="stack">
      <form
        className="panel stack"
        onSubmit={(event) => {
          event.preventDefault();
          void run(new FormData(event.currentTarget));
        }}
      >
        <h2>What is checked</h2>
        <Field label="The export" help="JSON Lines, as “Export” and “crossdock audit export” give it; of any length.">
          {(props) => <input {...props} name="file" type="file" accept=".jsonl,application/jsonl" required />}
        </Field>
        <Field label="The key that must have signed it" help="Of this tenant. Empty: by whatever key the file says, which proves only that it fits together.">
          {(props) => <input {...props} className="mono" name="key" defaultValue={known} autoComplete="off" spellCheck={false} />}
        </Field>
        <Field label="A head that you kept" help="Where you have one: the line that was kept elsewhere, later than which nothing may be cut off." wrong={wrongHead}>
          {(props) => <textarea {...props} className="mono" name="head" rows={3} spellCheck={false} />}
        </Field>
        {part !== null && (
          <div className="bar" role="progressbar" aria-label="How far it is read" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(part * 100)}>
            <span style={{ width: `${part * 100}%`, background: "var(--accent)" }} />
          </div>
        )}
        <div>
          <button type="submit" className="button main-act" disabled={part !== null}>
            {part !== null ? "Checking…" : "Check it"}
          </button>
        </div>
      </form>
      <div role="status">{outcome && <Said outcome={outcome} />}</div>
    </div>
  );
}

function Said({ outcome }: { outcome: Outcome }) {
  if ("bad" in outcome) {
    const { bad } = outcome;
    return (
      <section className="note bad stack tight" aria-label="What was found">
        <p>
          <strong className="break">It proves nothing: {bad.message}.</strong>
        </p>
        <p>{bad instanceof Tampered && bad.line ? `Look at line ${bad.line.toLocaleString()} of the file. ` : ""}This is what is wrong first; there may be more behind it. Keep the file as it is, and export the log once more to compare.</p>
      </section>
    );
  }
  const { good, hasKey, hasHead } = outcome;
  return (
    <section className={`note ${hasKey ? "good" : "warn"} stack tight`} aria-label="What was found">
      <p>
        <strong>{hasKey ? "It is as it was sealed: nothing was altered, is missing, was added or moved." : "It fits together. By whose key it was signed, this check cannot say: give the key."}</strong>
      </p>
      <dl className="facts">
        <dt>Events</dt>
        <dd>
          {good.events.toLocaleString()} in {counted(good.seals, "seal")}{good.head.after > 0n && `, all after seal ${good.head.after}`}
        </dd>
        <dt>Sealed until</dt>
        <dd>{good.sealedUntil ? <Time at={good.sealedUntil} /> : "nothing is sealed yet"}</dd>
        {good.removed > 0n && (
          <>
            <dt>Removed</dt>
            <dd>{good.removed.toLocaleString()} events, by the rule of how long the log is kept</dd>
          </>
        )}
        {good.late > 0 && (
          <>
            <dt>Sealed late</dt>
            <dd>
              {good.late.toLocaleString()} events more than an hour after the time that they tell, first <code>{good.firstLate}</code>: the sealer stood, or somebody wrote them with a time of their choice
            </dd>
          </>
        )}
        <dt>Its end</dt>
        <dd>{hasHead ? "goes as far as the head that you kept" : `is seal ${good.head.seal}; whether more came after it was made, only a head that was kept elsewhere tells`}</dd>
        <dt>Signed by</dt>
        <dd>
          <code>{good.head.publicKey}</code>
        </dd>
      </dl>
    </section>
  );
}
