// The provider: what is said of it, what it must be told, and whether it works.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Copy } from "../ui/copy";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty } from "../ui/state";
import { Time } from "../ui/time";
import { Check } from "./check";
import { ProviderForm } from "./form";
import { IdentityNamesDocument, IdentityProviderRemoveDocument, type IdentityProviderQuery } from "./query.generated";
import { Refusals } from "./refusals";

export type ProviderNode = NonNullable<IdentityProviderQuery["identityProvider"]>;

export function Provider({ provider }: { provider: ProviderNode | null }) {
  const [isSetting, setSetting] = useState(false);
  const [isRemoving, setRemoving] = useState(false);
  if (isSetting) return <ProviderForm provider={provider} close={() => setSetting(false)} />;
  return (
    <section className="panel stack" id="provider" aria-label="Identity provider">
      {provider ? (
        <>
          <div className="row apart">
            <h2>Where people sign in</h2>
            <span className="row">
              <button type="button" className="button" onClick={() => setSetting(true)}>
                Change
              </button>
              <button type="button" className="button" onClick={() => setRemoving(true)}>
                Remove
              </button>
            </span>
          </div>
          <Facts provider={provider} />
          <Check />
        </>
      ) : (
        <Empty title="People sign in by password">
          <p>
            Let them sign in where they do for everything else: at your own identity provider, by OpenID Connect. Who comes in, and as what, follows its groups; whoever leaves them loses their place here with their next sign-in.
          </p>
          <button type="button" className="button main-act" onClick={() => setSetting(true)}>
            Set up single sign-on
          </button>
        </Empty>
      )}
      {isRemoving && <Remove close={() => setRemoving(false)} />}
    </section>
  );
}

function Facts({ provider }: { provider: ProviderNode }) {
  const tenant = useTenant();
  const may = useMay();
  const names = useAsk(IdentityNamesDocument, {}).data?.members;
  const setter = names?.find((one) => one.userId === provider.setBy);
  return (
    <>
      <dl className="facts">
        <dt>Issuer</dt>
        <dd>
          <code>{provider.issuer}</code>
        </dd>
        <dt>Client id</dt>
        <dd>
          <code>{provider.clientId}</code>, with a secret that is kept sealed
        </dd>
        <dt>Groups</dt>
        <dd>
          in the claim <code>{provider.groupsClaim}</code>
        </dd>
        <dt>As what</dt>
        <dd>
          <ul className="stack tight">
            {provider.roles.map(({ group, role }) => (
              <li key={group}>
                <code>{group}</code> comes in as {role.toLowerCase()}
              </li>
            ))}
            <li className="muted">{provider.defaultRole ? `Whoever is in none of them comes in as ${provider.defaultRole.toLowerCase()}` : "Whoever is in none of them is not let in"}</li>
          </ul>
        </dd>
        <dt>A sign-in lasts</dt>
        <dd>{provider.sessionHours === 1 ? "one hour" : `${provider.sessionHours} hours`} at most</dd>
        <dt>Asked for</dt>
        <dd>
          <code>{["openid", ...provider.scopes].join(" ")}</code>
        </dd>
        <dt>Set</dt>
        <dd>
          <Time at={provider.setAt} />
          {setter && ` by ${setter.name || setter.email}`}
        </dd>
      </dl>
      <div className="halves">
        <div className="stack tight">
          <h3>The provider must know this redirect address</h3>
          <Copy text={provider.redirectUri} label="The redirect address" />
        </div>
        <div className="stack tight">
          <h3>People begin here: a good bookmark</h3>
          <Copy text={provider.startUrl} label="Where people begin" />
        </div>
      </div>
      {may("audit") && (
        <p className="muted small">
          Somebody does not get in?{" "}
          <Link to="/t/$tenant/audit" params={{ tenant }} search={{ action: "sso.refused" }}>
            See who was refused, and why
          </Link>
          .
        </p>
      )}
    </>
  );
}

function Remove({ close }: { close: () => void }) {
  const act = useFormAct(IdentityProviderRemoveDocument, (result) => result.identityProviderRemove, () => "People sign in by password again, who have one.", close);
  return (
    <FormDialog
      title="Remove the identity provider"
      about="Everybody who came in by it is signed out at once, you too if you did. They get in again by a password, if they have one: “Forgot your password?” sets one by mail. Its settings are gone, the secret too."
      label="Remove it"
      act={{ ...act, errors: [] }}
      close={close}
      submit={() => act.run({})}
    >
      <Refusals errors={act.errors} />
    </FormDialog>
  );
}
