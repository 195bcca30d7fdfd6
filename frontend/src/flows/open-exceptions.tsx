// How many deliveries of a flow wait for a person, and the way to them.
import { Link } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";

export function OpenExceptions({ flowId, count }: { flowId: string; count: number }) {
  const tenant = useTenant();
  if (count === 0) return <>0</>;
  return (
    <Link className="num" to="/t/$tenant/deliveries" params={{ tenant }} search={{ flow: flowId, state: "exception" }} aria-label={`${count.toLocaleString()} deliveries wait for a person`}>
      {count.toLocaleString()}
    </Link>
  );
}
