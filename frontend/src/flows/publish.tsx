// Publishing a draft and rolling back: both say first what will run differently.
import { useState } from "react";
import { useAct } from "../api/hooks";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { useTell } from "../ui/notice";
import { Problem, sentence } from "../ui/state";
import { FlowPublishDocument, FlowRollBackDocument } from "./query.generated";
import { Changes, type Version } from "./version";

interface Flow {
  id: string;
  needsApproval: boolean;
  needsReplay: boolean;
}

export function PublishDialog({ flow, draft, running, close }: { flow: Flow; draft: Version; running: Version | undefined; close: () => void }) {
  const tell = useTell();
  const publish = useAct(FlowPublishDocument);
  const [note, setNote] = useState(draft.note);
  const [wrong, setWrong] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const submit = async () => {
    setWrong(null);
    setError(null);
    try {
      const { flowPublish } = await publish.mutateAsync({ id: flow.id, versionId: draft.id, note: note.trim() });
      if (flowPublish.userErrors[0]) return setWrong(flowPublish.userErrors[0].message);
      tell("Published. Work under way finishes on the version it began with.");
      close();
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Dialog title={`Publish version ${draft.version}`} about="From then on records are delivered by it. You can roll back at any time." open close={close}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        {Boolean(error) && <Problem error={error} />}
        {wrong && (
          <p className="note bad" role="alert">
            {sentence(wrong)}
          </p>
        )}
        {running ? <Changes before={running} after={draft} /> : <p>It is the first version that runs.</p>}
        <Field label="Note" help="What it is for. Kept with the version.">
          {(props) => <textarea {...props} value={note} maxLength={2000} onChange={(event) => setNote(event.target.value)} autoFocus />}
        </Field>
        <div className="row">
          <button type="submit" className="button main-act" disabled={publish.isPending}>
            Publish
          </button>
          <button type="button" className="button" onClick={close}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function RollBackDialog({ flow, version, close }: { flow: Flow; version: Version; close: () => void }) {
  const tell = useTell();
  const act = useAct(FlowRollBackDocument);
  const refused = act.data?.flowRollBack.userErrors[0];
  return (
    <Dialog title={`Roll back to version ${version.version}`} about="A new version that says the same is published at once. What was sent meanwhile stays as it is." open close={close}>
      {act.error && <Problem error={act.error} />}
      {refused && (
        <p className="note bad" role="alert">
          {sentence(refused.message)}
        </p>
      )}
      <div className="row">
        <button
          type="button"
          className="button main-act"
          disabled={act.isPending}
          onClick={() =>
            act.mutate(
              { id: flow.id, version: version.version },
              {
                onSuccess: ({ flowRollBack }) => {
                  if (flowRollBack.userErrors.length > 0) return;
                  tell(`What version ${version.version} says runs again.`);
                  close();
                },
              },
            )
          }
        >
          Roll back
        </button>
        <button type="button" className="button" onClick={close}>
          Cancel
        </button>
      </div>
    </Dialog>
  );
}
