// A file into a table: first what it would do and which rows are bad, then, as a second act, the same for good. Cells stay text.
import { useState } from "react";
import { useAct } from "../api/hooks";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { useIsThere } from "../ui/is-there";
import { useTell } from "../ui/notice";
import { Problem, sentence } from "../ui/state";
import { Working } from "../ui/working";
import { LookupTableImportDocument, type LookupTableDetailQuery, type LookupTableImportMutation } from "./query.generated";

type TableNode = NonNullable<LookupTableDetailQuery["lookupTable"]>;
const COLUMNS: Record<TableNode["kind"], string> = {
  CODES: "from,to[,effective_from,effective_until]",
  RATES: "from,to,date,rate",
  UNITS: "item,from,to,factor[,effective_from,effective_until]",
};
/** A request has at most a MiB, and the text in it is escaped. */
const BYTES_MAX = 900_000;

/** Lines that say something: what is read, give or take a header. */
const rowsOf = (csv: string) => csv.split(/\r?\n/).filter((line) => line.trim() !== "").length;

export function ImportDialog({ table, close }: { table: TableNode; close: () => void }) {
  const tell = useTell();
  const act = useAct(LookupTableImportDocument);
  const [csv, setCsv] = useState("");
  const [mode, setMode] = useState<"MERGE" | "REPLACE">("MERGE");
  const [skips, setSkips] = useState(false);
  // What was said counts for what it was said of.
  const [answer, setAnswer] = useState<{ of: string; said: LookupTableImportMutation["lookupTableImport"] } | null>(null);
  const now = `${mode}\n${csv}`;
  const said = answer?.of === now ? answer.said : undefined;
  const refused = said?.userErrors[0];
  const isThere = useIsThere();
  const run = async (preview: boolean) => {
    try {
      const { lookupTableImport: done } = await act.mutateAsync({ id: table.id, csv, mode, preview, skipBadRows: !preview && skips, basedOn: table.version });
      setAnswer({ of: now, said: done });
      if (preview) return;
      if (done.written) tell(`${done.added.toLocaleString()} entries were added, ${done.changed.toLocaleString()} changed and ${done.removed.toLocaleString()} taken away.`);
      // Whoever has closed it is told all the same.
      else if (!isThere.current) tell(`Nothing was imported into “${table.name}”. ${sentence(done.userErrors[0]?.message ?? "Some of its rows are bad")}`, "bad");
      if (done.written && isThere.current) close();
    } catch (error) {
      if (!preview && !isThere.current) tell(sentence(error instanceof Error ? error.message : "It could not be imported"), "bad");
    }
  };
  // Of what is asked, and not of what is typed meanwhile.
  const isWriting = act.isPending && act.variables.preview === false;
  const rows = act.isPending ? rowsOf(act.variables.csv) : 0;
  const isTooLarge = csv.length > BYTES_MAX;
  return (
    <Dialog title={`Import into “${table.name}”`} about="One file is one version. Nothing is written before you have seen what it would do." open close={close}>
      {act.error && <Problem error={act.error} />}
      {refused && (
        <p className="note bad" role="alert">
          {sentence(refused.message)}
        </p>
      )}
      <Field label="File" help={`CSV in UTF-8 with the columns ${COLUMNS[table.kind]}; comma, semicolon or tab`}>
        {(props) => <input {...props} type="file" accept=".csv,.tsv,.txt,text/csv" onChange={(event) => void event.target.files?.[0]?.text().then(setCsv)} />}
      </Field>
      <Field label="Or paste its rows" wrong={isTooLarge ? "This is too large for one request: cut it into parts, the first one replacing, the others adding." : null}>
        {(props) => <textarea {...props} className="mono" rows={6} value={csv} spellCheck={false} onChange={(event) => setCsv(event.target.value)} />}
      </Field>
      <Field label="What becomes of the entries that are there">
        {(props) => (
          <select {...props} value={mode} onChange={(event) => setMode(event.target.value === "REPLACE" ? "REPLACE" : "MERGE")}>
            <option value="MERGE">They stay; the file adds and replaces</option>
            <option value="REPLACE">The file is the table: others are taken away</option>
          </select>
        )}
      </Field>
      {said && !refused && (
        <div className={`note ${said.badRowCount > 0 ? "warn" : "good"}`} aria-live="polite">
          <p>
            <strong>
              {said.added.toLocaleString()} would be added, {said.changed.toLocaleString()} changed, {said.removed.toLocaleString()} taken away, {said.unchanged.toLocaleString()} stay as they are.
            </strong>
          </p>
          {said.badRowCount > 0 && (
            <>
              <p>{said.badRowCount.toLocaleString()} rows are bad:</p>
              <ul className="stack tight small">
                {said.badRows.slice(0, 20).map((row) => (
                  <li key={row.line} className="break">
                    line {row.line}: {row.what} <code>{row.row}</code>
                  </li>
                ))}
              </ul>
              <label className="row">
                <input type="checkbox" checked={skips} onChange={(event) => setSkips(event.target.checked)} />
                Leave them out
              </label>
            </>
          )}
        </div>
      )}
      <div className="row">
        <button type="button" className={said ? "button" : "button main-act"} disabled={act.isPending || csv.trim() === "" || isTooLarge} onClick={() => void run(true)}>
          {act.isPending && !isWriting ? "Reading…" : "What would it do?"}
        </button>
        {said && !refused && (
          <button type="button" className="button main-act" disabled={act.isPending || (said.badRowCount > 0 && !skips)} onClick={() => void run(false)}>
            {isWriting ? "Importing…" : "Import"}
          </button>
        )}
        <button type="button" className="button" onClick={close}>
          {isWriting ? "Close" : "Cancel"}
        </button>
        <Working isBusy={act.isPending}>
          {isWriting ? `Writing ${rows.toLocaleString()} rows as one version, all of it or nothing. It goes on if you close this.` : `Reading ${rows.toLocaleString()} rows. Nothing is written.`}
        </Working>
      </div>
    </Dialog>
  );
}
