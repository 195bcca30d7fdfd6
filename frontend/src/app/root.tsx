// What is around every page, signed in or not.
import { useEffect } from "react";
import { Outlet, useRouter } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { isSignedIn, onSession } from "../session/session";
import { KeysProvider } from "../ui/keys";
import { NoticeProvider } from "../ui/notice";

export function Root() {
  const router = useRouter();
  const queries = useQueryClient();
  useEffect(
    () =>
      onSession(() => {
        // Whoever comes next must not see for a moment what the one before saw.
        if (!isSignedIn()) queries.clear();
        void router.invalidate();
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
