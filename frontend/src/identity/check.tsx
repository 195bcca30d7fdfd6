// A look at the provider before anybody depends on it: each step in plain words, and what to do about what is wrong. Nobody is signed in by it.
import { useAct } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Problem, sentence } from "../ui/state";
import { IdentityProviderTestDocument } from "./query.generated";
import { Refusals } from "./refusals";
import { ADVICE, STEP_ORDER, STEPS } from "./words";

const RESULTS = { GOOD: { tone: "good", word: "good" }, WRONG: { tone: "bad", word: "wrong" }, UNKNOWN: { tone: "warn", word: "only a sign-in tells" } } as const;

export function Check() {
  const act = useAct(IdentityProviderTestDocument);
  const { findings = [], userErrors = [] } = act.data?.identityProviderTest ?? {};
  const wrong = findings.filter((one) => one.result === "WRONG").length;
  const left = STEP_ORDER.filter((step) => findings.length > 0 && !findings.some((one) => one.step === step));
  return (
    <div className="stack tight" aria-live="polite">
      <div className="row">
        <button type="button" className="button main-act" disabled={act.isPending} onClick={() => act.mutate({})}>
          {act.isPending ? "Looking…" : "Test it"}
        </button>
        <span className="muted small">Asks the provider what it is and whether it knows us. Nobody is signed in by it.</span>
      </div>
      {act.error && <Problem error={act.error} />}
      <Refusals errors={userErrors} />
      {findings.length > 0 && (
        <section className="stack tight" aria-label="What the test found">
          <p className={`note ${wrong > 0 ? "bad" : "good"}`}>
            {wrong > 0
              ? `${wrong === 1 ? "One thing is" : `${wrong} things are`} wrong: nobody is let in by it, or not as they should, before that is mended.`
              : "It can be used. Sign in by it once in another browser before you make it the only way."}
          </p>
          <ol className="steps">
            {findings.map((one) => (
              <li key={one.step}>
                <Badge tone={RESULTS[one.result].tone}>{RESULTS[one.result].word}</Badge>
                <div className="break">
                  <strong>{STEPS[one.step]}</strong>
                  <p>{sentence(one.sentence)}</p>
                  {one.result !== "GOOD" && <p className="muted">{ADVICE[one.step]}</p>}
                </div>
              </li>
            ))}
            {left.map((step) => (
              <li key={step} className="muted">
                <Badge>not reached</Badge>
                <div>
                  {STEPS[step]}: seen once what is above it is good.
                </div>
              </li>
            ))}
          </ol>
        </section>
      )}
    </div>
  );
}
