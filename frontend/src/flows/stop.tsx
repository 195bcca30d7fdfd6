// Stopping a flow: its published version is retired. What is planned is still delivered, and nothing new is planned.
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { useUndo } from "../ui/undo";
import { FlowRetireDocument, FlowRollBackDocument } from "./query.generated";

export function StopDialog({ flow, running, close }: { flow: { id: string; name: string }; running: { id: string; version: number }; close: () => void }) {
  const undo = useUndo();
  const back = undo(FlowRollBackDocument, { id: flow.id, version: running.version }, (result) => result.flowRollBack, `${flow.name} runs again, by what version ${running.version} says.`);
  const act = useFormAct(FlowRetireDocument, (result) => result.flowRetire, () => `${flow.name} is stopped: nothing new is planned.`, close, back);
  return (
    <FormDialog
      title={`Stop ${flow.name}`}
      about={
        <>
          <p>Version {running.version} is retired. What is planned is still delivered; records that come from now on are kept, and go nowhere by this flow.</p>
          <p>To let it run again, roll back to a version of it. What came meanwhile is brought by a backfill.</p>
        </>
      }
      label="Stop it"
      act={act}
      close={close}
      submit={() => act.run({ id: flow.id, versionId: running.id })}
    />
  );
}
