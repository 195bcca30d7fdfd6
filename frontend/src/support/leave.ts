// Ends an impersonation of one's own, from wherever: by the staff's own session, so that its last word is not refused.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ask } from "../api/client";
import { ended, left } from "../session/impersonation";
import { ImpersonationLeaveDocument } from "../session/query.generated";
import { useTell } from "../ui/notice";
import { sentence } from "../ui/state";

export function useLeave() {
  const tell = useTell();
  const queries = useQueryClient();
  const act = useMutation({
    mutationFn: async (running: { id: string; tenant: string }) => {
      const { impersonationLeave } = await ask(ImpersonationLeaveDocument, {});
      if (impersonationLeave.done) left(running.id);
      // It was over already: why is asked as it is where one hears of it by being refused.
      else await ended(running.id);
    },
    onError: (error) => tell(sentence(error.message), "bad"),
    onSettled: () => void queries.invalidateQueries({ queryKey: [null] }),
  });
  return { leave: act.mutate, isLeaving: act.isPending };
}
