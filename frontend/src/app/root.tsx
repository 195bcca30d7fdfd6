// What is around every page, signed in or not.
import { useEffect } from "react";
import { Outlet, useRouter } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { forgetImpersonation, impersonation, onImpersonation, settle } from "../session/impersonation";
import { isSignedIn, onSession } from "../session/session";
import { KeysProvider } from "../ui/keys";
import { NoticeProvider } from "../ui/notice";
import { useTitle } from "./title";

export function Root() {
  const router = useRouter();
  const queries = useQueryClient();
  useTitle();
  useEffect(
    () =>
      onSession(() => {
        forgetImpersonation();
        // Whoever comes next must not see for a moment what the one before saw.
        if (!isSignedIn()) queries.clear();
        void router.invalidate();
      }),
    [router, queries],
  );
  useEffect(
    () =>
      onImpersonation(() => {
        const now = impersonation();
        if (now.is === "none") return;
        const { tenantSlug } = now.held;
        const all = [{ queryKey: [tenantSlug] }, { queryKey: ["viewer", tenantSlug] }];
        // What was asked as somebody else is nothing of what is asked now.
        if (now.is === "held") for (const one of all) void queries.resetQueries(one);
        if (now.is !== "ending" || !now.over) return;
        const { pathname } = router.state.location;
        const isThere = pathname === `/t/${tenantSlug}` || pathname.startsWith(`/t/${tenantSlug}/`);
        void Promise.resolve(isThere && router.navigate({ to: "/support", search: {} })).finally(() => {
          settle();
          for (const one of all) queries.removeQueries(one);
          void queries.invalidateQueries({ queryKey: [null] });
        });
      }),
    [router, queries],
  );
  return (
    <KeysProvider>
      <NoticeProvider>
        <Outlet />
      </NoticeProvider>
    </KeysProvider>
  );
}
