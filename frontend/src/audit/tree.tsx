// A payload as a tree: by pointer or keys, searched, and each value with its path to copy. It is text and stays text.
import { useEffect, useId, useMemo, useRef, useState } from "react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Copy } from "../ui/copy";
import { Document } from "../ui/document";
import type { Exact } from "./exact";
import { find, firstOpen, FOUND_MAX, isContainer, rowsOf, said, sizeOf, textOf, valueAt, way, type Row } from "./tree-rows";

/** Fewer rows than these are all in the page: then the browser's own search finds each. */
const VIRTUAL_FROM = 300;
const ROW_PX = 26;
const OVERSCAN = 20;
/** A longer value is shown whole once it is chosen. */
const CHARS_MAX = 200;

interface TreeProps {
  root: Exact;
  label: string;
  /** What is searched, and what is chosen, as the address has them. */
  text: string;
  chosen: string | null;
  choose: (path: string) => void;
}

export function Tree({ root, label, text, chosen, choose }: TreeProps) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const first = useMemo(() => firstOpen(root), [root]);
  /** What was opened and closed by hand. */
  const [turned, setTurned] = useState<ReadonlyMap<string, boolean>>(new Map());
  const found = useMemo(() => find(root, text), [root, text]);
  const marked = useMemo(() => new Set(found), [found]);
  const open = useMemo(() => {
    const paths = new Set(first);
    // Where one is, and what was found, is in sight, unless it was closed by hand.
    for (const path of [...(chosen === null ? [] : [chosen]), ...found.slice(0, 100)]) for (const one of way(root, path) ?? []) paths.add(one);
    for (const [path, isOpen] of turned) {
      if (isOpen) paths.add(path);
      else paths.delete(path);
    }
    return paths;
  }, [first, root, chosen, found, turned]);
  const rows = useMemo(() => rowsOf(root, open), [root, open]);
  // Where nothing is chosen, keys begin at the top.
  const at = Math.max(0, rows.findIndex((row) => row.path === chosen));
  const isVirtual = rows.length >= VIRTUAL_FROM;
  const virtual = useVirtualizer({ count: rows.length, enabled: isVirtual, getScrollElement: () => box.current, estimateSize: () => ROW_PX, overscan: OVERSCAN });
  useEffect(() => {
    if (chosen === null) return;
    if (isVirtual) virtual.scrollToIndex(at);
    else box.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [chosen, at, isVirtual, virtual]);
  const turn = (row: Row, isOpen: boolean) => setTurned(new Map(turned).set(row.path, isOpen));
  const go = (path: string) => {
    // One that was closed by hand is opened for what is in it.
    const closed = (way(root, path) ?? []).filter((one) => turned.get(one) === false);
    if (closed.length > 0) setTurned(new Map([...turned].filter(([one]) => !closed.includes(one))));
    choose(path);
  };
  const pressed = (event: React.KeyboardEvent) => {
    const row = rows[at];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = (index: number) => rows[Math.min(rows.length - 1, Math.max(0, index))]?.path;
    const act: Record<string, () => void> = {
      ArrowDown: () => choose(to(at + 1) ?? ""),
      ArrowUp: () => choose(to(at - 1) ?? ""),
      Home: () => choose(""),
      End: () => choose(to(rows.length - 1) ?? ""),
      ArrowRight: () => {
        if (!isContainer(row.value)) return;
        if (row.isOpen) choose(to(at + 1) ?? "");
        else turn(row, true);
      },
      ArrowLeft: () => {
        if (row.isOpen) turn(row, false);
        else if (row.parent !== null) choose(row.parent);
      },
      Enter: () => isContainer(row.value) && turn(row, !row.isOpen),
      " ": () => isContainer(row.value) && turn(row, !row.isOpen),
    };
    const done = act[event.key];
    if (!done) return;
    event.preventDefault();
    done();
  };
  const items = isVirtual ? virtual.getVirtualItems().map((item) => item.index) : rows.map((_, index) => index);
  return (
    <div className="stack tight">
      <Found found={found} text={text} chosen={chosen} go={go} />
      <div ref={box} className="tree" role="tree" aria-label={label} tabIndex={0} aria-activedescendant={`${id}-${at}`} onKeyDown={pressed}>
        {isVirtual && <div aria-hidden="true" style={{ height: virtual.getVirtualItems()[0]?.start ?? 0 }} />}
        {items.map((index) => {
          const row = rows[index];
          if (!row) return null;
          return (
            <div
              key={row.path}
              id={`${id}-${index}`}
              ref={isVirtual ? virtual.measureElement : undefined}
              data-index={index}
              role="treeitem"
              aria-level={row.depth + 1}
              aria-posinset={row.position}
              aria-setsize={row.of}
              aria-selected={index === at}
              aria-expanded={holds(row.value) ? row.isOpen : undefined}
              style={{ paddingInlineStart: `${8 + row.depth * 16}px` }}
              onClick={() => {
                if (isContainer(row.value) && (row.path === chosen || !row.isOpen)) turn(row, !row.isOpen);
                choose(row.path);
              }}
            >
              <span className="turn" aria-hidden="true">
                {holds(row.value) ? (row.isOpen ? "▾" : "▸") : ""}
              </span>
              <Line row={row} isMarked={marked.has(row.path)} />
            </div>
          );
        })}
        {isVirtual && <div aria-hidden="true" style={{ height: virtual.getTotalSize() - (virtual.getVirtualItems().at(-1)?.end ?? 0) }} />}
      </div>
      {chosen !== null && <Chosen root={root} path={chosen} />}
    </div>
  );
}

/** An empty list has nothing to be opened for. */
function holds(value: Exact): boolean {
  return isContainer(value) && sizeOf(value) > 0;
}

function Line({ row: { key, value }, isMarked }: { row: Row; isMarked: boolean }) {
  const name = key === null ? "all of it" : String(key);
  const words = isContainer(value) ? `${sizeOf(value).toLocaleString()} ${Array.isArray(value) ? (sizeOf(value) === 1 ? "item" : "items") : sizeOf(value) === 1 ? "field" : "fields"}` : said(value);
  const shown = words.length > CHARS_MAX ? `${words.slice(0, CHARS_MAX)}…` : words;
  return (
    <span className="break">
      <span className={typeof key === "string" ? "name" : "name muted"}>{isMarked ? <mark>{name}</mark> : name}</span>{" "}
      <span className={isContainer(value) ? "muted small" : kindOf(value)}>{isMarked && !isContainer(value) ? <mark>{shown}</mark> : shown}</span>
    </span>
  );
}

/** A text is told from a number and from nothing, because vendors do. */
function kindOf(value: Exact): string {
  if (typeof value === "string") return "text";
  return value === null ? "muted" : "num";
}

/** How much was found, and the way through it. */
function Found({ found, text, chosen, go }: { found: string[]; text: string; chosen: string | null; go: (path: string) => void }) {
  if (text.trim() === "") return null;
  const at = chosen === null ? -1 : found.indexOf(chosen);
  const next = (by: number) => go(found[(at + by + found.length) % found.length] ?? "");
  const many = found.length >= FOUND_MAX ? `${FOUND_MAX.toLocaleString()} or more` : found.length.toLocaleString();
  return (
    <div className="row">
      <span role="status" className={found.length === 0 ? "muted" : ""}>
        {found.length === 0 ? `Nothing is called or says “${text.trim()}”.` : at < 0 ? `Found ${many}` : `${(at + 1).toLocaleString()} of ${many}`}
      </span>
      {found.length > 0 && (
        <>
          <button type="button" className="button" onClick={() => next(at < 0 ? 0 : -1)} disabled={at < 0}>
            Before
          </button>
          <button type="button" className="button" onClick={() => next(1)}>
            {at < 0 ? "Show the first" : "Next"}
          </button>
        </>
      )}
    </div>
  );
}

function Chosen({ root, path }: { root: Exact; path: string }) {
  const value = useMemo(() => valueAt(root, path), [root, path]);
  if (value === undefined) {
    return (
      <p className="note warn" role="status">
        Nothing stands at <code>{path}</code> in this payload.
      </p>
    );
  }
  if (path === "") return null;
  const text = textOf(value);
  return (
    <section className="stack tight" aria-label="What is chosen">
      <h3>Its path</h3>
      <Copy text={path} label="The path" />
      <h3>Its value</h3>
      {isContainer(value) ? <Document text={text} label="The value" /> : <Copy text={text} label="The value" />}
    </section>
  );
}
