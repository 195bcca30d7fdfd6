// The way from nothing to a flow that is proven: each step with its page, and which of them are done.
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { OverviewFlowsDocument } from "./query.generated";
import { Steps, type GuideStep } from "../ui/steps";

/** Shown until something is published; then the page has something to show itself. */
export function Begin({ connections }: { connections: number }) {
  const tenant = useTenant();
  const may = useMay();
  const asked = useAsk(OverviewFlowsDocument, {}, { isDear: true });
  if (!asked.data) return null;
  const flows = asked.data.flows.nodes;
  const first = flows[0];
  if (flows.some((flow) => flow.published)) return null;
  const connect = (label: string) => (
    <Link className="button" to="/t/$tenant/connections/new" params={{ tenant }} search={{}}>
      {label}
    </Link>
  );
  const steps: GuideStep[] = [
    { title: "Connect where your orders come from", about: "A shop, a marketplace, a folder of files. Its form asks what its API needs, and nothing else.", isDone: connections > 0, act: connect("Connect a system") },
    { title: "Connect where they go", about: "An ERP, a warehouse, a 3PL.", isDone: connections > 1, act: connect("Connect another") },
    {
      title: "Make a flow between the two",
      about: "Begin with a template. It is a draft, and nothing runs by it yet.",
      isDone: flows.length > 0,
      act: (
        <Link className="button" to="/t/$tenant/flows/new" params={{ tenant }} search={{}}>
          New flow
        </Link>
      ),
    },
    {
      title: "Look at what it would send, and publish it",
      about: "The mapping shows each field beside a sample. You can roll back at any time.",
      isDone: false,
      act: first && (
        <Link className="button" to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: first.id }} search={{}}>
          Open {first.name}
        </Link>
      ),
    },
    {
      title: "Say who is told",
      about: "When something needs a person, or nothing comes any more.",
      isDone: false,
      act: (
        <Link className="button" to="/t/$tenant/alerts" params={{ tenant }}>
          Set up alerts
        </Link>
      ),
    },
  ];
  return (
    <section className="panel stack" aria-label="How to begin">
      <div>
        <h2>{connections === 0 ? "Nothing is connected yet" : "How to go on"}</h2>
        <p className="muted">Five steps, some minutes each. {!may("configure") && "Owners, admins and developers take them."}</p>
      </div>
      <Steps steps={steps} mayAct={(index, next) => index <= next + 1 && may("configure")} />
    </section>
  );
}
