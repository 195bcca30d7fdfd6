// What is said of the provider. The secret is written and never read: left empty it stays, as long as issuer and client are the same.
import { useState } from "react";
import { useMay } from "../app/role";
import { Copy } from "../ui/copy";
import { Field } from "../ui/field";
import { useFormAct } from "../ui/form-dialog";
import { Problem, sentence } from "../ui/state";
import { Groups, RoleOptions, type GroupRow } from "./groups";
import type { ProviderNode } from "./provider";
import { IdentityProviderSetDocument, type IdentityProviderSetInput } from "./query.generated";
import { Refusals } from "./refusals";
import { adviceOn, plain, scopesOf } from "./words";

const FIELDS = ["issuer", "clientId", "clientSecret", "scopes", "groupsClaim", "roles", "defaultRole", "sessionHours"];
const TEXT_MAX = 500;
/** How providers write their issuer, for whom does not know it by heart. */
const ISSUERS = [
  ["Keycloak", "https://login.example.com/realms/acme"],
  ["Microsoft Entra ID", "https://login.microsoftonline.com/<tenant id>/v2.0"],
  ["Okta", "https://acme.okta.com"],
  ["Auth0", "https://acme.eu.auth0.com/"],
  ["Google", "https://accounts.google.com"],
] as const;

type Role = NonNullable<IdentityProviderSetInput["defaultRole"]>;

export function ProviderForm({ provider, close }: { provider: ProviderNode | null; close: () => void }) {
  const may = useMay();
  const [issuer, setIssuer] = useState(provider?.issuer ?? "");
  const [clientId, setClientId] = useState(provider?.clientId ?? "");
  const [rows, setRows] = useState<GroupRow[]>(provider ? provider.roles.map((one, key) => ({ ...one, key })) : [{ key: 0, group: "", role: "OPERATOR" }]);
  const act = useFormAct(IdentityProviderSetDocument, (result) => result.identityProviderSet, () => "It is set. Test it before anybody depends on it.", close);
  const wrong = (field: string) => {
    const found = act.errors.find((one) => one.field.at(-1) === field)?.message;
    if (!found) return null;
    return [sentence(plain(found)), adviceOn(found)?.text].filter(Boolean).join(" ");
  };
  const keepsSecret = provider !== null && provider.issuer === issuer.trim() && provider.clientId === clientId.trim();
  const submit = (form: FormData) => {
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const secret = String(form.get("clientSecret") ?? "");
    act.run({
      input: {
        issuer: issuer.trim(),
        clientId: clientId.trim(),
        ...(secret ? { clientSecret: secret } : {}),
        ...(scopesOf(text("scopes")) ? { scopes: scopesOf(text("scopes")) } : {}),
        groupsClaim: text("groupsClaim") || null,
        roles: rows.filter((row) => row.group.trim() !== "").map(({ group, role }) => ({ group: group.trim(), role })),
        defaultRole: (text("defaultRole") || null) as Role | null,
        sessionHours: Number(text("sessionHours")),
      },
    });
  };
  return (
    <form
      className="panel stack"
      aria-label="Identity provider"
      onSubmit={(event) => {
        event.preventDefault();
        submit(new FormData(event.currentTarget));
      }}
    >
      <h2>{provider ? "Change where people sign in" : "Set up single sign-on"}</h2>
      {Boolean(act.error) && <Problem error={act.error} />}
      <Refusals errors={act.errors} fields={FIELDS} />
      <fieldset className="plain stack">
        <legend>1. At the provider</legend>
        <p>
          Make a web application (a confidential client) for the code flow, with the scopes <code>openid</code>, <code>email</code> and <code>profile</code>, a claim with the person’s groups, and this redirect address:
        </p>
        <Copy text={provider?.redirectUri ?? `${window.location.origin}/sso/callback`} label="The redirect address" />
      </fieldset>
      <fieldset className="plain stack">
        <legend>2. Where it is, and who we are there</legend>
        <Field label="Issuer" help="As the provider writes it, to the last slash." wrong={wrong("issuer")}>
          {(props) => (
            <>
              <input {...props} type="url" inputMode="url" required maxLength={TEXT_MAX} value={issuer} onChange={(event) => setIssuer(event.target.value)} spellCheck={false} autoComplete="off" placeholder={ISSUERS[0][1]} autoFocus />
              <details className="small">
                <summary>How providers write it</summary>
                <dl className="facts">
                  {ISSUERS.map(([name, example]) => (
                    <div key={name} className="contents">
                      <dt>{name}</dt>
                      <dd>
                        <code>{example}</code>
                      </dd>
                    </div>
                  ))}
                </dl>
              </details>
            </>
          )}
        </Field>
        <div className="halves">
          <Field label="Client id" help="As the provider shows it." wrong={wrong("clientId")}>
            {(props) => <input {...props} required maxLength={TEXT_MAX} value={clientId} onChange={(event) => setClientId(event.target.value)} spellCheck={false} autoComplete="off" />}
          </Field>
          <Field
            label="Client secret"
            help={keepsSecret ? "Kept sealed and never shown. Empty: the one that is kept stays." : "Kept sealed and never shown again."}
            wrong={wrong("clientSecret")}
          >
            {(props) => <input {...props} name="clientSecret" type="password" maxLength={TEXT_MAX} required={!keepsSecret} autoComplete="new-password" />}
          </Field>
        </div>
      </fieldset>
      <fieldset className="plain stack">
        <legend>3. As what people come in</legend>
        <Field label="Claim with the groups" help="Its name, or a JSON pointer like /realm_access/roles." wrong={wrong("groupsClaim")}>
          {(props) => <input {...props} name="groupsClaim" className="mono" maxLength={200} defaultValue={provider?.groupsClaim ?? "groups"} spellCheck={false} style={{ maxWidth: 320 }} />}
        </Field>
        <Groups rows={rows} change={setRows} wrong={wrong("roles")} />
        <Field label="Whoever is in none of these groups" wrong={wrong("defaultRole")}>
          {(props) => (
            <select {...props} name="defaultRole" style={{ justifySelf: "start" }} defaultValue={provider?.defaultRole ?? ""}>
              <option value="">is not let in</option>
              <RoleOptions before="comes in as " />
            </select>
          )}
        </Field>
        {!may("owners") && <p className="muted small">Only an owner lets a group make owners.</p>}
      </fieldset>
      <details>
        <summary>More: how long a sign-in lasts, and scopes</summary>
        <div className="halves padded-top">
          <Field label="A sign-in lasts at most, in hours" help="1 to 720. Nothing makes it longer; then people sign in once more." wrong={wrong("sessionHours")}>
            {(props) => <input {...props} name="sessionHours" type="number" min={1} max={720} step={1} required defaultValue={provider?.sessionHours ?? 12} style={{ maxWidth: 140 }} />}
          </Field>
          <Field label="Scopes beside openid" help="Words with a space between." wrong={wrong("scopes")}>
            {(props) => <input {...props} name="scopes" className="mono" defaultValue={(provider?.scopes ?? ["email", "profile"]).join(" ")} spellCheck={false} />}
          </Field>
        </div>
      </details>
      <div className="row">
        <button type="submit" className="button main-act" disabled={act.isBusy}>
          {act.isBusy ? "Working…" : provider ? "Keep it" : "Set it up"}
        </button>
        <button type="button" className="button" onClick={close}>
          Cancel
        </button>
        {provider && <span className="muted small">Sessions that are open stay until their end.</span>}
      </div>
    </form>
  );
}
