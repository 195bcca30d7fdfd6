// The operations that are registered: what a key that is kept to them may ask, and nothing else. Read by somebody before a partner's program asks it.
import { useEffect, useRef, useState } from "react";
import { useAsk } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Copy } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Document } from "../ui/document";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem, sentence } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { useUndo } from "../ui/undo";
import { bytesOf, DOCUMENT_BYTES_MAX, hashOf, operationsIn, placeIn, requestOf, wrongIn, type Wrong } from "./operations-text";
import { KeyUsed } from "./key-used";
import { nameOf } from "./people";
import { MembersDocument, PersistedOperationRegisterDocument, PersistedOperationRemoveDocument, PersistedOperationsDocument, type ApiKeysQuery, type PersistedOperationsQuery } from "./query.generated";

type ApiKey = ApiKeysQuery["apiKeys"][number];
type Operation = PersistedOperationsQuery["persistedOperations"][number];
const OPERATIONS_MAX = 200;
const EXAMPLE = 'query Open {\n  exceptions(state: "open", first: 50) {\n    nodes { id sentence }\n  }\n}';

/** How many are registered; undefined until it is known. */
export function useOperationCount(): number | undefined {
  return useAsk(PersistedOperationsDocument, {}, { isDear: true }).data?.persistedOperations.length;
}

export function useOperations() {
  return useAsk(PersistedOperationsDocument, {}, { everyMs: 60_000, isDear: true });
}

export function Operations({ keys, makeKey }: { keys: readonly ApiKey[]; makeKey: () => void }) {
  const asked = useOperations();
  const members = useAsk(MembersDocument, {}).data?.members ?? [];
  const [dialog, setDialog] = useState<{ act: "show" | "remove"; of: Operation } | "register" | null>(null);
  const close = () => setDialog(null);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the registered operations" />;
  const operations = asked.data.persistedOperations;
  const kept = keys.filter((key) => key.persistedOnly && key.state === "ACTIVE");
  const columns: Column<Operation>[] = [
    {
      header: "For",
      accessorKey: "name",
      cell: ({ row: { original: one } }) => (
        <span className="break">
          <button type="button" className="link" onClick={() => setDialog({ act: "show", of: one })}>
            {one.name}
          </button>
          <br />
          <code className="muted" title={one.sha256}>
            {one.sha256.slice(0, 12)}…
          </code>
        </span>
      ),
    },
    { header: "What it asks", enableSorting: false, cell: ({ row }) => <What of={row.original.document} /> },
    {
      header: "Registered",
      accessorKey: "createdAt",
      cell: ({ row: { original: one } }) => (
        <>
          <Time at={one.createdAt} /> <span className="muted">by {nameOf(members, one.createdBy)}</span>
        </>
      ),
    },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: one } }) => (
        <span className="row">
          <button type="button" className="button quiet" aria-label={`Show ${one.name}`} onClick={() => setDialog({ act: "show", of: one })}>
            Show
          </button>
          <button type="button" className="button quiet" aria-label={`Remove ${one.name}`} onClick={() => setDialog({ act: "remove", of: one })}>
            Remove
          </button>
        </span>
      ),
    },
  ];
  return (
    <section className="panel flush" id="operations" aria-labelledby="operations-title">
      <div className="row apart">
        <h2 id="operations-title">Registered operations</h2>
        <span className="row">
          {operations.length > 0 && (
            <button type="button" className="button" onClick={makeKey}>
              New key kept to them
            </button>
          )}
          <button type="button" className="button" disabled={operations.length >= OPERATIONS_MAX} onClick={() => setDialog("register")}>
            Register an operation
          </button>
        </span>
      </div>
      {operations.length === 0 ? (
        <Empty title="No operation is registered">
          <p>
            Register what a partner’s program asks, and make it a key that is kept to that: if the key falls into other hands, they ask nothing else. The program then sends the hash of an operation in the place of its text.
          </p>
          {kept.length > 0 && <p className="bad-text">{kept.length === 1 ? `The key ${kept[0]?.name} is` : `${kept.length} keys are`} kept to registered operations, and can ask nothing.</p>}
        </Empty>
      ) : (
        <>
          <p className="muted small padded">
            {kept.length === 0
              ? "No key is kept to them: each key may ask them by their hash, and anything else that it may."
              : `Kept to them, and to nothing else: ${listOf(kept.map((key) => key.name))}.`}
            {operations.length >= OPERATIONS_MAX && ` More than ${OPERATIONS_MAX} cannot be registered: remove one that nobody asks.`}
          </p>
          <Table label="What is registered" columns={columns} rows={operations} idOf={(one) => one.sha256} />
        </>
      )}
      {dialog === "register" && <Register all={operations} close={close} show={(of) => setDialog({ act: "show", of })} />}
      {dialog !== null && dialog !== "register" && dialog.act === "show" && <Shown of={dialog.of} close={close} />}
      {dialog !== null && dialog !== "register" && dialog.act === "remove" && <Remove of={dialog.of} kept={kept} close={close} />}
    </section>
  );
}

/** “a”, “b” and “c” */
function listOf(names: string[]): string {
  const quoted = [...new Set(names)].map((name) => `“${name}”`);
  return quoted.length > 1 ? `${quoted.slice(0, -1).join(", ")} and ${quoted.at(-1)}` : (quoted[0] ?? "");
}

function What({ of }: { of: string }) {
  return (
    <ul className="small">
      {operationsIn(of).map(({ kind, name }, index) => (
        <li key={index} className="break">
          <Badge tone={kind === "mutation" ? "warn" : "info"}>{kind === "mutation" ? "changes" : kind === "subscription" ? "listens" : "reads"}</Badge> <code>{name || "without a name"}</code>
        </li>
      ))}
    </ul>
  );
}

function Shown({ of, close }: { of: Operation; close: () => void }) {
  return (
    <Dialog title={of.name} about="A program sends this in the place of the text, with its key in the header and variables where the operation has some." open close={close}>
      <div className="stack tight">
        <h3>What a program sends to /graphql</h3>
        <Copy text={requestOf(of.sha256)} label="The request" />
        <h3>The hash: SHA-256, byte for byte</h3>
        <Copy text={of.sha256} label="The hash" />
        <h3>The operation</h3>
        <Document text={of.document} label="The operation" />
      </div>
      <div>
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Register({ all, close, show }: { all: readonly Operation[]; close: () => void; show: (of: Operation) => void }) {
  const [text, setText] = useState("");
  const [name, setName] = useState("");
  const area = useRef<HTMLTextAreaElement>(null);
  const act = useFormAct(
    PersistedOperationRegisterDocument,
    (result) => result.persistedOperationRegister,
    () => `“${name.trim()}” is registered.`,
    ({ persistedOperationRegister: { persistedOperation } }) => {
      if (persistedOperation) show(persistedOperation);
    },
  );
  const bytes = bytesOf(text);
  const hash = hashOf(text);
  const same = all.find((one) => one.sha256 === hash);
  // What was refused, until something else stands there.
  const [refused, setRefused] = useState<string | null>(null);
  const error = act.errors.find((one) => one.field.at(-1) === "document");
  const isStill = error !== undefined && refused === text;
  const place = isStill ? wrongIn(error.message) : null;
  useEffect(() => {
    if (!error) return;
    const at = wrongIn(error.message);
    const field = area.current;
    if (!field) return;
    setRefused(field.value);
    field.focus();
    if (at) field.setSelectionRange(placeIn(field.value, at), placeIn(field.value, at) + 1);
  }, [error]);
  const wrong = bytes > DOCUMENT_BYTES_MAX ? `It has ${bytes.toLocaleString()} bytes, and ${DOCUMENT_BYTES_MAX.toLocaleString()} at most are taken.` : isStill && !place ? sentence(error.message) : null;
  return (
    <FormDialog
      title="Register an operation"
      about="As the program’s author gave it to you, byte for byte: a space more is another operation, with another hash."
      label={same ? "Give it this name" : "Register it"}
      act={act}
      fields={["name", "document"]}
      close={close}
      submit={() => act.run({ input: { name: name.trim(), document: text } })}
    >
      <Field label="What it is for" help="Open exceptions, for the partner’s dashboard" wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} autoFocus autoComplete="off" />}
      </Field>
      <Field label="Operation" help="A query or mutation of GraphQL, with its fragments." wrong={wrong}>
        {(props) => (
          <textarea
            {...props}
            aria-describedby={[props["aria-describedby"], place && "operation-wrong"].filter(Boolean).join(" ") || undefined}
            aria-invalid={wrong !== null || place !== null}
            ref={area}
            className="mono"
            rows={9}
            required
            value={text}
            onChange={(event) => setText(event.target.value)}
            placeholder={EXAMPLE}
            spellCheck={false}
            autoComplete="off"
            autoCapitalize="off"
          />
        )}
      </Field>
      {place && <Place of={place} text={text} />}
      {text !== "" && (
        <div className="stack tight small" aria-live="polite">
          {!place && <What of={text} />}
          <p className="muted break">
            Its hash is <code>{hash}</code>. The program must come to the same one.
          </p>
          {same && <p>It is registered already, as “{same.name}”.</p>}
          <p className="muted">Whether the API has these fields is seen when it is asked: let the program try it once.</p>
        </div>
      )}
    </FormDialog>
  );
}

/** The line at which the parser stopped, with the place marked. */
function Place({ of, text }: { of: Wrong; text: string }) {
  const line = [...(text.split("\n")[of.line - 1] ?? "")];
  const at = Math.min(of.column - 1, line.length);
  // The parser names a field there; what people forget is a bracket.
  const isEnd = placeIn(text, of) >= text.trimEnd().length;
  return (
    <div className="field" id="operation-wrong" role="alert">
      <span className="wrong">
        Line {of.line}, column {of.column}: {isEnd ? "the operation ends too early. A } may be missing" : of.sentence}.
      </span>
      <code className="document where">
        {line.slice(0, at).join("")}
        <mark>{line[at] ?? "⏎"}</mark>
        {line.slice(at + 1).join("")}
      </code>
    </div>
  );
}

function Remove({ of, kept, close }: { of: Operation; kept: readonly ApiKey[]; close: () => void }) {
  const undo = useUndo();
  const act = useFormAct(
    PersistedOperationRemoveDocument,
    (result) => result.persistedOperationRemove,
    () => `“${of.name}” is not registered any more.`,
    close,
    undo(PersistedOperationRegisterDocument, { input: { name: of.name, document: of.document } }, (result) => result.persistedOperationRegister, `“${of.name}” is registered again, with the same hash.`),
  );
  const used = kept.filter((key) => key.lastUsedAt);
  return (
    <FormDialog
      title={`Remove “${of.name}”`}
      about="From the next request on nobody runs it by its hash. Programs that may send its text go on with that."
      label="Remove it"
      act={act}
      close={close}
      submit={() => act.run({ sha256: of.sha256 })}
    >
      {kept.length === 0 ? (
        <p>No key is kept to registered operations, so no program is left without a way.</p>
      ) : (
        <div className="note warn stack tight">
          <p>
            <strong>{used.length > 0 ? "What would break:" : "What could break:"}</strong> these keys are kept to registered operations, and are refused if they ask it.
          </p>
          <ul>
            {kept.map((key) => (
              <li key={key.id} className="break">
                <KeyUsed of={key} />
              </li>
            ))}
          </ul>
          <p className="muted small">Which of them asks this one is not known: ask whoever has the key.</p>
        </div>
      )}
    </FormDialog>
  );
}
