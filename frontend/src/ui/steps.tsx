// What to do first, next and last: steps that are done have a tick, and the next one stands out.
export interface GuideStep {
  title: string;
  about: string;
  isDone: boolean;
  /** What one presses for it. */
  act: React.ReactNode;
}

/** `mayAct` says of which of those that are not done the act is shown, by its place and that of the next one. */
export function Steps({ steps, mayAct = () => true }: { steps: readonly GuideStep[]; mayAct?: (index: number, next: number) => boolean }) {
  const next = steps.findIndex((step) => !step.isDone);
  return (
    <ol className="begin">
      {steps.map((step, index) => (
        <li key={step.title} className={step.isDone ? "done" : index === next ? "next" : ""}>
          <span className="mark" aria-hidden="true">
            {step.isDone ? "✓" : index + 1}
          </span>
          <div>
            <strong>{step.title}</strong> {step.isDone && <span className="hidden-label">done</span>}
            <p className="muted break">{step.about}</p>
          </div>
          {!step.isDone && mayAct(index, next) && step.act}
        </li>
      ))}
    </ol>
  );
}
