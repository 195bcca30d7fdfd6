// Why dots stand in the place of names: said once beside what has them, because who meets ••• at night takes it for a defect.
import { useHeld } from "../api/hooks";
import { HIDDEN } from "../ui/hidden";
import { may, usePermissions } from "./role";

export function HiddenNote({ texts }: { texts: readonly (string | null | undefined)[] }) {
  const sees = may(usePermissions(), "personal");
  const held = useHeld();
  if (sees || !texts.some((text) => text?.includes(HIDDEN))) return null;
  return (
    <p className="muted small">
      Names, addresses, mail and telephones of people are {HIDDEN}{" "}
      {held ? "for support: an owner or admin of the tenant shows them under Settings, Support." : "for your role, whose work does not need them. Owners, admins and operators see them."}
    </p>
  );
}
