// Single sign-on: where the tenant's people sign in, as what they come in, and for which domains that is the only way.
import { useAsk } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { Loading, Problem } from "../ui/state";
import { Domains } from "./domains";
import { Provider } from "./provider";
import { IdentityProviderDocument } from "./query.generated";

export function SignOn() {
  return (
    <Permitted to="members" otherwise="Your role does not set how people sign in" advice="Owners and admins do. Ask one of them.">
      <Parts />
    </Permitted>
  );
}

function Parts() {
  const asked = useAsk(IdentityProviderDocument, {});
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="how people sign in" />;
  const provider = asked.data.identityProvider ?? null;
  return (
    <>
      <Provider provider={provider} />
      <Domains hasProvider={provider !== null} />
    </>
  );
}
