// A new flow between two connections, begun with what somebody wrote for the two, or with what they do of themselves. It is made as a draft:
// nothing runs before it is published.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { ActButton } from "../ui/act-button";
import { Badge, words } from "../ui/badge";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem } from "../ui/state";
import { FromNothing } from "./from-nothing";
import { FlowCreateDocument, FlowEndsDocument, FlowTableCreateDocument, FlowTemplatesDocument, type FlowTemplatesQuery } from "./query.generated";

type Template = FlowTemplatesQuery["flowTemplates"][number];

export function NewFlow() {
  const tenant = useTenant();
  const ends = useAsk(FlowEndsDocument, {});
  const navigate = useNavigate();
  const { from: sourceId = "", to: destinationId = "" } = useSearch({ from: "/t/$tenant/flows/new" });
  const choose = (change: { from?: string; to?: string }) => void navigate({ to: "/t/$tenant/flows/new", params: { tenant }, search: (now) => ({ ...now, ...change }), replace: true });
  const isChosen = sourceId !== "" && destinationId !== "" && sourceId !== destinationId;
  const asked = useAsk(FlowTemplatesDocument, { sourceId, destinationId }, { isWanted: isChosen, isDear: true, isKept: true });
  const templates = isChosen && !asked.isPlaceholderData ? asked.data?.flowTemplates : undefined;
  const connections = ends.data?.connections.nodes ?? [];
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/flows" params={{ tenant }}>
          Flows
        </Link>
      </p>
      <div className="head">
        <div>
          <h1>New flow</h1>
          <p>Choose the two connections. What the one can send and the other can take is offered next, and nothing runs before you publish it.</p>
        </div>
      </div>
      {ends.error && !ends.data && <Problem error={ends.error} retry={() => void ends.refetch()} />}
      {ends.data && connections.length < 2 ? (
        <div className="panel">
          <Empty title="A flow is between two connections">
            <p>Connect where records come from and where they go, then come back.</p>
            <Link className="button main-act" to="/t/$tenant/connections/new" params={{ tenant }}>
              Connect a system
            </Link>
          </Empty>
        </div>
      ) : (
        <div className="panel row">
          <End label="From" value={sourceId} choose={(from) => choose({ from })} connections={connections} />
          <End label="To" value={destinationId} choose={(to) => choose({ to })} connections={connections} />
        </div>
      )}
      {sourceId !== "" && sourceId === destinationId && <p className="note warn">Choose two different connections.</p>}
      {asked.error && isChosen && !templates && <Problem error={asked.error} retry={() => void asked.refetch()} />}
      {isChosen && !templates && !asked.error && <Loading what="what the two can do" />}
      {templates?.length === 0 && (
        <div className="panel">
          <Empty title="There is nothing that the first sends and the second takes">
            <p>Look whether it is the other way round.</p>
          </Empty>
        </div>
      )}
      {templates?.map((template) => (
        <TemplateForm key={template.name} template={template} sourceId={sourceId} destinationId={destinationId} />
      ))}
      {templates && templates.length > 0 && <FromNothing kinds={[...new Set(templates.map((one) => one.recordKind))]} sourceId={sourceId} destinationId={destinationId} />}
    </div>
  );
}

interface EndProps {
  label: string;
  value: string;
  choose: (id: string) => void;
  connections: readonly { id: string; name: string }[];
}

function End({ label, value, choose, connections }: EndProps) {
  return (
    <Field label={label}>
      {(props) => (
        <select {...props} value={value} onChange={(event) => choose(event.target.value)}>
          <option value="">Choose a connection</option>
          {connections.map((one) => (
            <option key={one.id} value={one.id}>
              {one.name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function TemplateForm({ template, sourceId, destinationId }: { template: Template; sourceId: string; destinationId: string }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const create = useFormAct(
    FlowCreateDocument,
    (result) => result.flowCreate,
    () => "The draft is made. Nothing runs before you publish it.",
    ({ flowCreate: { flow } }) => flow && void navigate({ to: "/t/$tenant/flows/$flowId", params: { tenant, flowId: flow.id } }),
  );
  const spec = (template.spec ?? {}) as Record<string, unknown>;
  const submit = (name: string) => {
    const known = { filter: spec["filter"] as string | null | undefined, mapping: spec["mapping"], sourceMapping: spec["source_mapping"], policy: spec["policy"], trigger: spec["trigger"] };
    // What the template does not say stays unsaid: null would take a filter away, and other fields do not take it.
    const said = Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined && value !== null));
    create.run({ input: { name, recordKind: template.recordKind, sourceId, destinationId, ...said } });
  };
  return (
    <form
      className="panel stack"
      aria-label={template.title}
      onSubmit={(event) => {
        event.preventDefault();
        submit(String(new FormData(event.currentTarget).get("name")).trim());
      }}
    >
      <div className="row">
        <h2>{template.title}</h2>
        <Badge>{words(template.recordKind)}</Badge>
      </div>
      <p>{template.about}</p>
      {template.needs.lookupTables.length > 0 && (
        <div>
          <h3>Lookup tables that it looks into</h3>
          <ul className="stack tight">
            {template.needs.lookupTables.map((table) => (
              <li key={table.name} className="row">
                <strong>{table.name}</strong> <span>{table.about}</span>
                {table.exists ? (
                  <Badge tone="good">is there</Badge>
                ) : (
                  <ActButton document={FlowTableCreateDocument} values={{ name: table.name }} payloadOf={(one) => one.lookupTableCreate} label={`Make the table “${table.name}”`} done={`The table “${table.name}” is made, and empty: what it lacks becomes an exception with its fix.`} />
                )}
              </li>
            ))}
          </ul>
        </div>
      )}
      {template.needs.settings.length > 0 && (
        <div>
          <h3>Settings that it needs</h3>
          <ul className="stack tight">
            {template.needs.settings.map((setting) => (
              <li key={`${setting.side} ${setting.name}`}>
                <strong>{setting.name}</strong> of the {setting.side}: {setting.about}
              </li>
            ))}
          </ul>
        </div>
      )}
      <FormErrors act={create} fields={["name"]} />
      <Field label="Name" wrong={create.wrong("name")}>
        {(props) => <input {...props} name="name" defaultValue={template.title} required maxLength={200} style={{ maxWidth: 420 }} />}
      </Field>
      <div>
        <button type="submit" className="button main-act" disabled={create.isBusy}>
          Make the draft
        </button>
      </div>
    </form>
  );
}
