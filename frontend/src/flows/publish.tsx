// Publishing a draft and rolling back: both say first what will run differently.
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { FlowPublishDocument, FlowRollBackDocument } from "./query.generated";
import { Changes, type Version } from "./version";

interface Flow {
  id: string;
  needsApproval: boolean;
  needsReplay: boolean;
}

export function PublishDialog({ flow, draft, running, close }: { flow: Flow; draft: Version; running: Version | undefined; close: () => void }) {
  const act = useFormAct(FlowPublishDocument, (result) => result.flowPublish, () => "Published. Work under way finishes on the version it began with.", close);
  return (
    <FormDialog
      title={`Publish version ${draft.version}`}
      about="From then on records are delivered by it. You can roll back at any time."
      label="Publish"
      act={act}
      close={close}
      submit={(form) => act.run({ id: flow.id, versionId: draft.id, note: String(form.get("note")).trim() })}
    >
      {running ? <Changes before={running} after={draft} /> : <p>It is the first version that runs.</p>}
      <Field label="Note" help="What it is for. Kept with the version.">
        {(props) => <textarea {...props} name="note" maxLength={2000} defaultValue={draft.note} autoFocus />}
      </Field>
    </FormDialog>
  );
}

export function RollBackDialog({ flow, version, close }: { flow: Flow; version: Version; close: () => void }) {
  const act = useFormAct(FlowRollBackDocument, (result) => result.flowRollBack, () => `What version ${version.version} says runs again.`, close);
  return (
    <FormDialog
      title={`Roll back to version ${version.version}`}
      about="A new version that says the same is published at once. What was sent meanwhile stays as it is."
      label="Roll back"
      act={act}
      close={close}
      submit={() => act.run({ id: flow.id, version: version.version })}
    />
  );
}
