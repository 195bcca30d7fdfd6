// The log as a file: one that proves itself, or a sheet of what is searched. It comes as a stream and is kept once it is whole.
import { useEffect, useRef, useState } from "react";
import { download, FILE_BYTES_MAX, save } from "../api/download";
import { useTenant } from "../api/hooks";
import { sizeOf } from "../files/size";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { Problem } from "../ui/state";
import { sheetPath, type Search } from "./words";

export function ExportDialog({ search, isNarrowed, close }: { search: Search; isNarrowed: boolean; close: () => void }) {
  const tenant = useTenant();
  const [kind, setKind] = useState<"proof" | "sheet">("proof");
  const [after, setAfter] = useState("");
  const [read, setRead] = useState<number | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async () => {
    const [path, name] =
      kind === "proof" ? [`/audit/export${after ? `?after=${after}` : ""}`, `audit-${tenant}${after ? `-after-${after}` : ""}.jsonl`] : [sheetPath(isNarrowed ? search : {}), `audit-${tenant}.csv`];
    const controller = new AbortController();
    running.current = controller;
    setError(null);
    setDone(null);
    setRead(0);
    try {
      const file = await download(path, tenant, setRead, controller.signal);
      save(file, name);
      setDone(`${name}, ${sizeOf(file.size)}, is among your downloads. That it was taken stands in the log.`);
    } catch (failure) {
      if (!controller.signal.aborted) setError(failure);
    } finally {
      setRead(null);
    }
  };
  return (
    <Dialog title="Export the audit log" open close={close}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <Field label="As">
          {(props) => (
            <select {...props} value={kind} onChange={(event) => setKind(event.target.value as typeof kind)} style={{ maxWidth: "100%" }}>
              <option value="proof">JSON Lines with its seals: proves itself, to anybody</option>
              <option value="sheet">CSV for a spreadsheet: proves nothing</option>
            </select>
          )}
        </Field>
        {kind === "proof" ? (
          <Field label="Only what came after seal" help="Empty: all of it. Of an export that you have already, its last seal goes on where that one ended.">
            {(props) => <input {...props} inputMode="numeric" pattern="[0-9]*" value={after} onChange={(event) => setAfter(event.target.value)} style={{ maxWidth: 160 }} />}
          </Field>
        ) : (
          <p className="muted">{isNarrowed ? "What you searched for, newest first." : "All of it, newest first: search first to take less."}</p>
        )}
        <p className="muted small">
          A browser is given {sizeOf(FILE_BYTES_MAX)} at most. For more: <code>crossdock audit export &gt; audit.jsonl</code>
        </p>
        {Boolean(error) && <Problem error={error} />}
        <p role="status">{read !== null ? `${sizeOf(read)} so far…` : done}</p>
        <div className="row">
          <button type="submit" className="button main-act" disabled={read !== null}>
            {read !== null ? "Reading…" : "Export"}
          </button>
          {read !== null && (
            <button type="button" className="button" onClick={() => running.current?.abort()}>
              Stop
            </button>
          )}
          <button type="button" className="button" onClick={close}>
            Close
          </button>
        </div>
      </form>
    </Dialog>
  );
}
