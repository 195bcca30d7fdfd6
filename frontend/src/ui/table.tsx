// A table of any length: TanStack Table keeps its order, only the rows in sight are in the page. Real rows and cells, and so named, because on a telephone
// they are drawn as blocks, which would not be read as a table any more; one row at a time has the focus of the keys (j and k), which is shown and follows the pointer's choice.
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { flexRender, getCoreRowModel, getSortedRowModel, useReactTable, type ColumnDef, type SortingState } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";

export type Column<Row> = ColumnDef<Row, unknown>;

/** Of a column whose cells are numbers or sums: they are compared, so their ends stand under each other. */
export const NUMBERS = { isNumber: true } as const;

/** Fewer rows than these are all in the page: then the browser's own search finds each. */
const VIRTUAL_FROM = 80;
const ROW_PX = 53;
/** On a telephone a row is a block, with its cells under each other, and each as high as it is. */
const TELEPHONE = "(max-width: 600px)";
const BLOCK_PX = 150;
const OVERSCAN = 12;
/** The next page is asked for so many rows before the end, so that who scrolls at a hand's pace meets no end. */
const AHEAD = 40;

interface TableProps<Row> {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  idOf: (row: Row) => string;
  /** The row that keys are about; -1 for none. */
  focused?: number;
  currentId?: string | null | undefined;
  onSeenEnd?: (() => void) | undefined;
  /** What is shown of the current row stands below: leave room for it. */
  isShort?: boolean;
}

export function Table<Row>({ label, columns, rows, idOf, focused = -1, currentId, onSeenEnd, isShort = false }: TableProps<Row>) {
  const box = useRef<HTMLDivElement>(null);
  const isTelephone = useTelephone();
  const [sorting, setSorting] = useState<SortingState>([]);
  const isVirtual = rows.length >= VIRTUAL_FROM;
  const virtual = useVirtualizer({
    count: rows.length,
    enabled: isVirtual,
    getScrollElement: () => box.current,
    estimateSize: () => (isTelephone ? BLOCK_PX : ROW_PX),
    overscan: OVERSCAN,
  });
  const items = virtual.getVirtualItems();
  // Of a long list only what is in sight is made rows of, so that its length costs nothing. Sorting it takes all of them, once.
  const start = isVirtual && sorting.length === 0 ? (items[0]?.index ?? 0) : 0;
  const end = isVirtual && sorting.length === 0 ? (items.at(-1)?.index ?? -1) + 1 : rows.length;
  const data = useMemo(() => (start === 0 && end === rows.length ? rows : rows.slice(start, end)), [rows, start, end]);
  const table = useReactTable({
    data,
    columns,
    getRowId: idOf,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
    state: { sorting },
    onSortingChange: setSorting,
    // The order of keys and the order on the screen are one: pages that take keys give their rows in order and do not sort here.
    enableSorting: focused < 0 && rows.length > 1,
  });
  const sorted = table.getRowModel().rows;
  // Nothing is in sight yet in the first drawing: the end is seen only once a row says so.
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (onSeenEnd && isVirtual && last >= rows.length - AHEAD) onSeenEnd();
  }, [last, rows.length, onSeenEnd, isVirtual]);
  const focusedRow = rows[focused];
  const focusedId = focusedRow === undefined ? null : idOf(focusedRow);
  const gone = useRef<{ index: number; id: string | null } | null>(null);
  useEffect(() => {
    const before = gone.current;
    gone.current = { index: focused, id: focusedId };
    // Who opens a page begins at its head, also where its first row is below it; and where another row joins above, the page stays as it is read.
    if (focused < 0 || (before ? before.index === focused || before.id === focusedId : focused === 0)) return;
    if (isVirtual) virtual.scrollToIndex(focused);
    else box.current?.querySelector('[data-focused="true"]')?.scrollIntoView({ block: "nearest" });
  }, [focused, focusedId, isVirtual, virtual]);
  const shown = isVirtual ? items.map((item) => ({ row: sorted[item.index - start], index: item.index })) : sorted.map((row, index) => ({ row, index }));
  const above = isVirtual ? (items[0]?.start ?? 0) : 0;
  const below = isVirtual ? virtual.getTotalSize() - (items.at(-1)?.end ?? 0) : 0;
  const width = columns.length;
  return (
    <div ref={box} className={`stacks ${isVirtual || isShort ? "scroll" : "table"}${isShort ? " short" : ""}`} tabIndex={0} role="region" aria-label={label}>
      <table role="table" aria-rowcount={isVirtual ? rows.length + 1 : undefined}>
        <thead role="rowgroup">
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} role="row">
              {group.headers.map((header) => {
                const order = header.column.getIsSorted();
                const title = flexRender(header.column.columnDef.header, header.getContext());
                return (
                  <th key={header.id} scope="col" role="columnheader" className={classOf(header.column.columnDef)} aria-sort={order ? (order === "asc" ? "ascending" : "descending") : undefined}>
                    {header.column.getCanSort() ? (
                      <button type="button" className="sort" onClick={header.column.getToggleSortingHandler()}>
                        {title}
                        {order && <span aria-hidden="true">{order === "asc" ? "↑" : "↓"}</span>}
                      </button>
                    ) : (
                      title
                    )}
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody role="rowgroup">
          {above > 0 && <Gap height={above} width={width} />}
          {shown.map(
            ({ row, index }) =>
              row && (
                <tr
                  key={row.id}
                  role="row"
                  ref={isVirtual && isTelephone ? virtual.measureElement : undefined}
                  data-index={index}
                  aria-rowindex={isVirtual ? index + 2 : undefined}
                  aria-current={currentId === row.id ? "true" : undefined}
                  data-focused={index === focused ? "true" : undefined}
                >
                  {row.getVisibleCells().map((cell) => (
                    <td key={cell.id} role="cell" className={classOf(cell.column.columnDef)} data-label={labelOf(cell.column.columnDef)}>
                      <div>{flexRender(cell.column.columnDef.cell, cell.getContext())}</div>
                    </td>
                  ))}
                </tr>
              ),
          )}
          {below > 0 && <Gap height={below} width={width} />}
        </tbody>
      </table>
    </div>
  );
}

/** What stands before the cell where there is no head above it; the first of a row needs none. */
function labelOf<Row>({ header, meta }: Column<Row>): string | undefined {
  return typeof header === "string" && !(meta as { isTitle?: boolean } | undefined)?.isTitle ? header : undefined;
}

function classOf<Row>({ meta }: Column<Row>): string | undefined {
  return (meta as { isNumber?: boolean } | undefined)?.isNumber ? "right num" : undefined;
}

function useTelephone(): boolean {
  return useSyncExternalStore(
    (listener) => {
      const width = matchMedia(TELEPHONE);
      width.addEventListener("change", listener);
      return () => width.removeEventListener("change", listener);
    },
    () => matchMedia(TELEPHONE).matches,
  );
}

function Gap({ height, width }: { height: number; width: number }) {
  return (
    <tr aria-hidden="true" className="gap">
      <td colSpan={width} style={{ height, padding: 0, border: 0 }} />
    </tr>
  );
}
