// Making causes, or some exceptions of one, one's own with one key: what a shift begins with. It can be taken back.
import { useViewer } from "../app/tenants";
import { useBackToOwner, useExceptionAct, type Chosen } from "./act";
import { ExceptionAssignDocument } from "./query.generated";

export function useTake(): (chosen: readonly Chosen[]) => void {
  const me = useViewer().data?.viewer?.id;
  const back = useBackToOwner();
  const act = useExceptionAct(ExceptionAssignDocument, (result) => result.exceptionAssign, () => undefined, false);
  return (chosen) => {
    if (!me || chosen.length === 0) return;
    act.run(
      chosen.map(({ selection }) => ({ input: selection, userId: me })),
      () => (chosen.length === 1 ? "It is yours now." : `${chosen.length.toLocaleString()} causes are yours now.`),
      back(chosen),
    );
  };
}
