// Files that connections brought: how far each was read, and what of it could not be.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { SELDOM, useAsk, usePages, useTenant } from "../api/hooks";
import { Badge, words } from "../ui/badge";
import { Asked, Empty, LoadMore } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { FileConnectionsDocument, FilesDocument, type FilesQuery } from "./query.generated";
import { sizeOf } from "./size";

type Row = FilesQuery["files"]["nodes"][number];
/** What each state means for who waits for the file. */
const TONES: Record<string, "good" | "warn" | "bad" | "info"> = { noticed: "info", reading: "info", read: "good", done: "good", unreadable: "bad", lost: "warn" };

export function Files() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const { connection } = useSearch({ from: "/t/$tenant/files" });
  const connections = useAsk(FileConnectionsDocument, {}, SELDOM).data?.connections.nodes ?? [];
  const asked = usePages(FilesDocument, { connectionId: connection ?? null }, (result) => result.files, { everyMs: 5_000 });
  const columns: Column<Row>[] = [
    {
      header: "File",
      accessorKey: "name",
      cell: ({ row: { original: file } }) => (
        <>
          <span className="break mono">{file.name}</span>
          <p className="muted small">
            {sizeOf(file.size)}
            {file.connection && (
              <>
                {" "}
                of{" "}
                <Link to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: file.connection.id }}>
                  {file.connection.name}
                </Link>
              </>
            )}
            {file.repeatsId && ". It came before, with the same bytes: nothing was done of this one."}
          </p>
          {file.failure && <p className="note bad break">{file.failure}</p>}
        </>
      ),
    },
    { header: "State", accessorKey: "state", cell: ({ row }) => <Badge tone={TONES[row.original.state]}>{words(row.original.state)}</Badge> },
    { header: "Taken", accessorKey: "taken", cell: ({ row }) => <span className="num">{row.original.taken.toLocaleString()}</span> },
    { header: "Could be read", accessorKey: "brought", cell: ({ row }) => <span className="num">{row.original.brought.toLocaleString()}</span> },
    {
      header: "Could not",
      accessorKey: "refused",
      cell: ({ row }) =>
        row.original.refused > 0 ? (
          <Link className="num" to="/t/$tenant/exceptions" params={{ tenant }} search={{}}>
            {row.original.refused.toLocaleString()}
          </Link>
        ) : (
          <span className="num">0</span>
        ),
    },
    { header: "Noticed", accessorKey: "noticedAt", cell: ({ row }) => <Time at={row.original.noticedAt} /> },
  ];
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Files</h1>
          <p>What lay in folders and was read from there, line by line. A line that cannot be read is an exception of its own; the others go on.</p>
        </div>
        <div className="row">
          <label className="hidden-label" htmlFor="file-connection">
            Connection
          </label>
          <select id="file-connection" value={connection ?? ""} onChange={(event) => void navigate({ to: "/t/$tenant/files", params: { tenant }, search: event.target.value ? { connection: event.target.value } : {}, replace: true })}>
            <option value="">All connections</option>
            {connections.map((one) => (
              <option key={one.id} value={one.id}>
                {one.name}
              </option>
            ))}
          </select>
          <Link className="button" to="/t/$tenant/interchanges" params={{ tenant }}>
            X12 interchanges
          </Link>
        </div>
      </div>
      <Asked of={asked} what="files">
        {asked.rows.length === 0 ? (
          <div className="panel">
            <Empty title="No file was read yet">
              <p>Connect a folder (SFTP, a bucket), or an X12 partner. As soon as a file lies there whole, it is read and listed here.</p>
              <Link className="button" to="/t/$tenant/connections/new" params={{ tenant }} search={{ q: "files" }}>
                Connect a folder
              </Link>
            </Empty>
          </div>
        ) : (
          <section className="panel flush">
            <Table label="Files" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
            <LoadMore of={asked} />
          </section>
        )}
      </Asked>
    </div>
  );
}
