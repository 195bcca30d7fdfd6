// A page or a part of one that a role may not have: nothing of it is asked for before the role is known, and who has it is said instead.
import { Empty, Loading } from "../ui/state";
import { useMay, type Permission } from "./role";
import { useViewer } from "./tenants";

interface PermittedProps {
  to: Permission;
  /** What is said to who may not, as a heading and with what to do. */
  otherwise: string;
  advice: string;
  isPage?: boolean;
  children: React.ReactNode;
}

export function Permitted({ to, otherwise, advice, isPage = false, children }: PermittedProps) {
  const viewer = useViewer();
  const may = useMay();
  if (viewer.isPending) return <Loading what="your role" />;
  if (may(to)) return children;
  return (
    <div className="panel">
      <Empty isPage={isPage} title={otherwise}>
        <p>{advice}</p>
      </Empty>
    </div>
  );
}
