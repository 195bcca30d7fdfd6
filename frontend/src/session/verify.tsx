// Proves an address with the token that was mailed to it. A press of a button, because programs that look at mails open their links.
import { Link, useLocation } from "@tanstack/react-router";
import { useMutation } from "@tanstack/react-query";
import { post } from "../api/client";
import { Problem, sentence } from "../ui/state";
import { EmailVerifyDocument } from "./query.generated";

export function Verify() {
  const token = useLocation({ select: ({ hash }) => hash });
  // Another link is another page.
  return <Prove key={token} token={token} />;
}

function Prove({ token }: { token: string }) {
  const act = useMutation({ mutationFn: () => post(EmailVerifyDocument, { token }) });
  const answer = act.data?.emailVerify;
  const refusal = answer?.userErrors[0]?.message;
  return (
    <main className="sign-in">
      <div className="panel stack">
        <h1>Is this your address?</h1>
        {Boolean(act.error) && <Problem error={act.error} />}
        {answer?.done && <p role="status">It is proven.</p>}
        {refusal && (
          <>
            <p className="note bad" role="alert">
              {sentence(refusal)}
            </p>
            <Link to="/account" className="button main-act">
              Ask for one in your account
            </Link>
          </>
        )}
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
