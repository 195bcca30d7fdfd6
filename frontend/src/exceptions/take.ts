// Making a cause, or some of its exceptions, one's own with one key: what a shift begins with. It can be taken back.
import { useAct } from "../api/hooks";
import { useViewer } from "../app/tenants";
import { useTell } from "../ui/notice";
import { sentence } from "../ui/state";
import { useUndo } from "../ui/undo";
import type { Before } from "./act";
import { ExceptionAssignDocument, type ExceptionSelectionInput } from "./query.generated";

export function useTake(): (selection: ExceptionSelectionInput, before: Before) => void {
  const me = useViewer().data?.viewer?.id;
  const act = useAct(ExceptionAssignDocument);
  const tell = useTell();
  const undo = useUndo();
  return (selection, before) => {
    if (!me) return;
    const back = before.assigneeId === undefined ? undefined : undo(ExceptionAssignDocument, { input: selection, userId: before.assigneeId }, (result) => result.exceptionAssign, "It is whose it was before.");
    act.mutate(
      { input: selection, userId: me },
      {
        onSuccess: ({ exceptionAssign: { userErrors } }) => (userErrors[0] ? tell(sentence(userErrors[0].message), "bad") : tell("It is yours now.", "good", back)),
        onError: (error) => tell(sentence(error.message), "bad"),
      },
    );
  };
}
