// Why dots stand in the place of names: said once beside what has them, because who meets ••• at night takes it for a defect.
import { useHeld } from "../api/hooks";
import { HIDDEN } from "../ui/hidden";
import { may, usePermissions } from "./role";

/** Whether what stands there is dots for who looks: sent back, they would be taken for the value. */
export function useIsHidden(): (text: string | null | undefined) => boolean {
  const sees = may(usePermissions(), "personal");
  return (text) => !sees && Boolean(text?.includes(HIDDEN));
}

/** In the place of a form that asks what a hidden value is. */
export function HiddenAnswer() {
  const held = useHeld();
  return (
    <p className="muted">
      The value is hidden from {held ? "support, and with it what it becomes: an owner or admin of the tenant shows it under Settings, Support." : "your role, so you cannot answer it. Owners, admins and operators see it, and can."}
    </p>
  );
}

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
