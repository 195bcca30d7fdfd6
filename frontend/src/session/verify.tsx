// Proves an address with the token that was mailed to it. A press of a button, because programs that look at mails open their links.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useMutation } from "@tanstack/react-query";
import { post } from "../api/client";
import { Problem } from "../ui/state";
import { EmailVerifyDocument } from "./query.generated";

export function Verify() {
  const [token] = useState(() => window.location.hash.slice(1));
  const act = useMutation({ mutationFn: () => post(EmailVerifyDocument, { token }) });
  const answer = act.data?.emailVerify;
  return (
    <main className="sign-in">
      <div className="panel stack">
        <h1>Is this your address?</h1>
        {Boolean(act.error) && <Problem error={act.error} />}
        {answer && <p role="status">{answer.done ? "It is proven." : answer.userErrors[0]?.message}</p>}
        {!answer && (
          <button type="button" className="button main-act" disabled={act.isPending} onClick={() => act.mutate()}>
            Yes, it is mine
          </button>
        )}
        <Link to="/">Go to Crossdock</Link>
      </div>
    </main>
  );
}
