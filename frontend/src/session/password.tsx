// The way back in: asks for a mail, or, with the token of one behind # in the address, sets a password.
import { Link, useLocation } from "@tanstack/react-router";
import { useMutation } from "@tanstack/react-query";
import { post } from "../api/client";
import { wrongWith } from "../api/hooks";
import { Field } from "../ui/field";
import { Problem, sentence } from "../ui/state";
import { PasswordResetAskDocument, PasswordResetDocument } from "./query.generated";
import { forgetSession } from "./session";

export function Password() {
  const token = useLocation({ select: ({ hash }) => hash });
  // Another link, or none any more, is another page.
  return <Ask key={token} token={token} />;
}

function Ask({ token }: { token: string }) {
  const act = useMutation({
    mutationFn: async (form: FormData) => {
      if (token === "") return (await post(PasswordResetAskDocument, { email: String(form.get("email")) })).passwordResetAsk;
      const { passwordReset } = await post(PasswordResetDocument, { token, password: String(form.get("password")) });
      // The server has ended all sessions of the person.
      if (passwordReset.done) forgetSession();
      return passwordReset;
    },
  });
  const errors = act.data?.userErrors;
  const over = wrongWith(errors, "token");
  const isOpen = !act.data?.done && !over;
  const said = token === "" ? "If this address has an account, a mail is on its way. Its link works once, within an hour." : "Your new password is set.";
  return (
    <main className="sign-in">
      <form
        className="panel stack"
        onSubmit={(event) => {
          event.preventDefault();
          act.mutate(new FormData(event.currentTarget));
        }}
      >
        <h1>Set a new password</h1>
        {Boolean(act.error) && <Problem error={act.error} />}
        {act.data?.done && <p role="status">{said}</p>}
        {over && (
          <>
            <p className="note bad" role="alert">
              {sentence(over)}
            </p>
            <Link to="/password" className="button main-act">
              Ask for another mail
            </Link>
          </>
        )}
        {isOpen && token === "" && (
          <Field label="E-mail" wrong={wrongWith(errors, "email")}>
            {(props) => <input {...props} name="email" type="email" autoComplete="username" required autoFocus />}
          </Field>
        )}
        {isOpen && token !== "" && (
          <Field label="A password, 12 characters at least" wrong={wrongWith(errors, "password")}>
            {(props) => <input {...props} name="password" type="password" autoComplete="new-password" required autoFocus />}
          </Field>
        )}
        {isOpen && (
          <button type="submit" className="button main-act" disabled={act.isPending}>
            {token === "" ? "Send me a mail" : "Set it"}
          </button>
        )}
        <Link to="/sign-in" search={{}}>
          Sign in
        </Link>
      </form>
    </main>
  );
}
