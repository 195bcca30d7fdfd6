// Taking an invitation. Its token stands behind # in the address, which no server sees; who has no account chooses a password here.
import { useState } from "react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMutation, useQuery } from "@tanstack/react-query";
import { post } from "../api/client";
import { wrongWith } from "../api/hooks";
import { Field } from "../ui/field";
import { Problem } from "../ui/state";
import { InvitationAcceptDocument, InvitationDocument } from "./query.generated";
import { signIn } from "./session";

export function Invitation() {
  const navigate = useNavigate();
  const [token] = useState(() => window.location.hash.slice(1));
  const offer = useQuery({ queryKey: ["invitation", token], queryFn: () => post(InvitationDocument, { token }), retry: false });
  const accept = useMutation({
    mutationFn: async (form: FormData) => {
      const [name, password] = [String(form.get("name") ?? ""), String(form.get("password"))];
      const { invitationAccept } = await post(InvitationAcceptDocument, { input: { token, name, password } });
      if (!invitationAccept.accepted) return invitationAccept.userErrors;
      const email = offer.data?.invitation?.email ?? "";
      await navigate({ href: (await signIn(email, password)) === null ? "/" : "/sign-in", replace: true });
      return [];
    },
  });
  const invitation = offer.data?.invitation;
  if (offer.isPending) return <main className="sign-in" aria-busy="true" />;
  return (
    <main className="sign-in">
      <form
        className="panel stack"
        onSubmit={(event) => {
          event.preventDefault();
          accept.mutate(new FormData(event.currentTarget));
        }}
      >
        <h1>{invitation ? `Join ${invitation.tenantName}` : "This invitation is over"}</h1>
        {Boolean(offer.error ?? accept.error) && <Problem error={offer.error ?? accept.error} />}
        {!invitation && <p>It was taken, withdrawn, or has expired. If you have taken it, sign in; if not, ask for another one.</p>}
        {!invitation && (
          <Link to="/sign-in" search={{}}>
            Sign in
          </Link>
        )}
        {invitation && (
          <>
            <p>
              As {invitation.role.toLowerCase()}, with the address {invitation.email}.
              {invitation.hasAccount && " You have an account: its password is asked for."}
            </p>
            {!invitation.hasAccount && (
              <Field label="Your name" wrong={wrongWith(accept.data, "name")}>
                {(props) => <input {...props} name="name" autoComplete="name" maxLength={200} required />}
              </Field>
            )}
            <Field label={invitation.hasAccount ? "Password" : "A password, 12 characters at least"} wrong={wrongWith(accept.data, "password") ?? wrongWith(accept.data, "token")}>
              {(props) => <input {...props} name="password" type="password" autoComplete={invitation.hasAccount ? "current-password" : "new-password"} required />}
            </Field>
            <button type="submit" className="button main-act" disabled={accept.isPending}>
              Join
            </button>
          </>
        )}
      </form>
    </main>
  );
}
