// A person asks that what is kept of them be erased: an owner counts first what that is, sees it table by table, and erases it then. It cannot be taken back.
import { useState } from "react";
import { useMay } from "../app/role";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { inWords, records, type Place } from "./erasure";
import { PersonalDataEraseDocument } from "./query.generated";

const REASON_MAX = 500;

export function PersonalData() {
  const may = useMay();
  const [isOpen, setOpen] = useState(false);
  return (
    <section className="panel stack">
      <div className="row apart">
        <h2>A person's data</h2>
        {may("owners") && (
          <button type="button" className="button" onClick={() => setOpen(true)}>
            Erase a person's data
          </button>
        )}
      </div>
      <p className="muted">
        What is kept of a person (documents, messages, what was sent and answered) can be erased by their address. Digests stay in its place, so the log and every proof over it hold.
        {!may("owners") && " Owners do that."}
      </p>
      {isOpen && <EraseDialog close={() => setOpen(false)} />}
    </section>
  );
}

interface Counted {
  email: string;
  records: number;
  hasMore: boolean;
  places: Place[];
}

function EraseDialog({ close }: { close: () => void }) {
  const [counted, setCounted] = useState<Counted | null>(null);
  const [email, setEmail] = useState("");
  const [reason, setReason] = useState("");
  const counting = useFormAct(PersonalDataEraseDocument, (result) => result.personalDataErase, ({ personalDataErase: would }) => {
    setCounted({ email, records: would.recordIds.length, hasMore: would.hasMore, places: would.places });
    return null;
  });
  const erase = useFormAct(
    PersonalDataEraseDocument,
    (result) => result.personalDataErase,
    ({ personalDataErase: done }) => `Erased in ${records(done.recordIds.length)}.${done.hasMore ? " There are more of that address: erase again." : " That it was done stands in the audit log."}`,
    close,
  );
  // Another address is counted anew.
  const isCounted = counted !== null && counted.email === email;
  const act = isCounted ? erase : counting;
  return (
    <FormDialog
      title="Erase a person's data"
      about="Erase it at its source first: what that sends afterwards is something new here. What partners and vendors have is theirs to erase."
      label={isCounted ? "Erase it for good" : "Count what there is"}
      act={act}
      fields={["email", "reason"]}
      close={close}
      submit={() => act.run({ input: { email, reason, dryRun: !isCounted } })}
    >
      <Field label="Address" help="All records that are known by it, and shipments, invoices, returns, payments and refunds of its orders." wrong={act.wrong("email")}>
        {(props) => <input {...props} type="email" required maxLength={320} value={email} onChange={(event) => setEmail(event.target.value)} />}
      </Field>
      <Field label="Why" help={`The number of the request, and no name: it stands in the audit log. ${REASON_MAX} characters at most.`} wrong={act.wrong("reason")}>
        {(props) => <input {...props} required maxLength={REASON_MAX} value={reason} onChange={(event) => setReason(event.target.value)} placeholder="Request 2026-17" />}
      </Field>
      {isCounted && (
        <div className="note warn stack">
          <p>
            {records(counted.records)}
            {counted.hasMore && ", and there are more: they are erased by asking again"}
          </p>
          <ul>
            {counted.places.map((place) => (
              <li key={place.place}>{inWords(place)}</li>
            ))}
          </ul>
          <label className="row nowrap-start">
            <input type="checkbox" required />
            <span>It cannot be brought back. What was still to be sent of it is not sent any more.</span>
          </label>
        </div>
      )}
    </FormDialog>
  );
}
