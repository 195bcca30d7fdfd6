// Goes on with an impersonation that runs: where this tab has no token of it, because it was loaded anew or is another one, it gets one of its own.
import { useMutation } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { ask } from "../api/client";
import { heldIn, hold } from "../session/impersonation";
import { ImpersonationResumeDocument } from "../session/query.generated";
import { useTell } from "../ui/notice";
import { sentence } from "../ui/state";
import { plain, wayInto } from "./words";

export function useResume(to?: string) {
  const router = useRouter();
  const tell = useTell();
  const act = useMutation({
    mutationFn: async (running: { id: string; tenantSlug: string }) => {
      if (heldIn(running.tenantSlug)?.id === running.id) return running.tenantSlug;
      const { impersonation, accessToken, userErrors } = (await ask(ImpersonationResumeDocument, {})).impersonationResume;
      const error = userErrors[0];
      if (!impersonation || !accessToken) throw new Error(plain(error?.message ?? "it does not run any more"));
      hold(impersonation, accessToken);
      return impersonation.tenantSlug;
    },
    onSuccess: (slug) => void router.navigate({ href: wayInto(to, slug) }),
    onError: (error) => tell(sentence(error.message), "bad"),
  });
  return { resume: act.mutate, isResuming: act.isPending };
}
