// A mail that the mail server has not taken: why, and what to do.
import { Badge } from "../ui/badge";
import { Time } from "../ui/time";

interface Failure {
  message: string;
  againAt: string | null;
}

/** `next`: what to do once it is not tried any more. */
export function NotMailed({ failure, next }: { failure: Failure; next: string }) {
  return (
    <p className="small break" role="note">
      <Badge tone="bad">not mailed</Badge> {failure.message}. {failure.againAt ? <>It is tried again <Time at={failure.againAt} />.</> : next}
    </p>
  );
}
