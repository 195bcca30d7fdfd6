// On every page of a tenant that is to be deleted: when, and the way back for who may take it. Nobody closes it.
import { SELDOM, useAsk, useHeld } from "../api/hooks";
import { ActButton } from "../ui/act-button";
import { Time } from "../ui/time";
import { TenantDeleteCancelDocument, TenantDeletionDocument } from "./frame.generated";
import { useMay } from "./role";

/** The tenant of the page, and that it is to be deleted. Support is not told: each of its looks would stand in the tenant's audit log. */
export function useDeletion() {
  const isHeld = useHeld() !== null;
  return useAsk(TenantDeletionDocument, {}, { ...SELDOM, isWanted: !isHeld });
}

export function DeletionBanner() {
  const deletion = useDeletion().data?.tenant?.deletion;
  if (!deletion) return null;
  return (
    <div className="note bad deletion row apart" role="status" aria-label="This tenant is to be deleted">
      <p>
        <strong>This tenant is to be deleted</strong>: all of it is destroyed on <Time at={deletion.deletesAt} />, and nobody can bring it back then.
      </p>
      <KeepIt />
    </div>
  );
}

/** Owners take it back. */
export function KeepIt() {
  const may = useMay();
  if (!may("owners")) return <span className="muted">Owners can keep it.</span>;
  return <ActButton document={TenantDeleteCancelDocument} values={{}} payloadOf={(result) => result.tenantDeleteCancel} label="Keep it" done="The tenant is kept. Its owners are told." />;
}
