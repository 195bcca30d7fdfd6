// The draft while somebody writes it: checked at every pause, and kept on the server as soon as it is sound and its cell was left, so that the page
// knows nothing for long that the server does not. What could not be kept is tried again by itself. What somebody else drafted meanwhile is never
// written over.
import { useEffect, useMemo, useRef, useState } from "react";
import { useMutation, useQuery, keepPreviousData } from "@tanstack/react-query";
import { ask } from "../api/client";
import { parse, stringify } from "../api/digits";
import { useTenant } from "../api/hooks";
import { againInMs, saysTheSame } from "./again";
import { byPart, probes, type Problems } from "./problems";
import { MappingCheckDocument, MappingDraftDocument, MappingFlowDocument, type MappingFlowQuery } from "./query.generated";
import type { Rules } from "./rules";

export type FlowNode = NonNullable<MappingFlowQuery["flow"]>;
export interface Spec {
  filter: string | null;
  /** Rules over those by which the source is read, */
  read: Rules;
  /** and over those by which the destination is written. */
  write: Rules;
}
export type Side = "read" | "write";
export type Kept = { id: string; version: number; state: string };
export interface Draft {
  spec: Spec;
  change: (next: Spec, isStep?: boolean) => void;
  leave: () => void;
  undo: (() => void) | null;
  problems: Problems;
  missingTables: string[];
  isChecking: boolean;
  isSaving: boolean;
  isKept: boolean;
  kept: Kept;
  /** What is sound and not kept, once it rests: what is tried is this. */
  unsaved: Spec | null;
  /** Why it cannot be kept. */
  refused: string | null;
  error: unknown;
  /** It could not be kept, and is tried again by itself. */
  isTriedAgain: boolean;
}

const CHECK_MS = 250;
const QUIET_MS = 1_500;
const PAST_MAX = 100;

export function specOf(version: { filter?: string | null; mapping: unknown; sourceMapping: unknown } | null | undefined): Spec {
  const rules = (value: unknown) => (Array.isArray(value) ? (value as Rules) : []);
  return { filter: version?.filter ?? null, read: rules(version?.sourceMapping), write: rules(version?.mapping) };
}

/** The value once it has not changed for a while. */
function useSettled(value: string, ms: number): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const wait = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(wait);
  }, [value, ms]);
  return settled;
}

export function useDraft(flow: FlowNode): Draft {
  const tenant = useTenant();
  const { newest } = flow;
  const [spec, setSpec] = useState(() => specOf(newest));
  const [kept, setKept] = useState<Kept & { text: string }>(() => ({ id: newest?.id ?? "", version: newest?.version ?? 0, state: newest?.state ?? "", text: stringify(specOf(newest)) }));
  const [past, setPast] = useState<Spec[]>([]);
  const isFresh = useRef(true);
  const text = useMemo(() => stringify(spec), [spec]);
  const soon = useSettled(text, CHECK_MS);
  const quiet = useSettled(text, QUIET_MS);
  const [left, setLeft] = useState(text);

  const inputOf = (one: Spec, read: Rules, write: Rules) => ({
    name: flow.name,
    recordKind: flow.recordKind,
    sourceId: flow.source?.id ?? "",
    destinationId: flow.destination?.id ?? "",
    filter: one.filter,
    sourceMapping: read,
    mapping: write,
  });
  const check = useQuery({
    queryKey: [tenant, "mapping", flow.id, soon],
    queryFn: async ({ signal }) => {
      const asked = parse(soon) as Spec;
      const values = { input: inputOf(asked, asked.read, asked.write), probe: inputOf({ ...asked, filter: null }, probes(asked.read), probes(asked.write)) };
      return { text: soon, ...(await ask(MappingCheckDocument, values, tenant, signal)) };
    },
    placeholderData: keepPreviousData,
    staleTime: Infinity,
  });
  const problems = useMemo(() => byPart(check.data), [check.data]);
  const isChecked = check.data?.text === text;
  const isSound = isChecked && Object.values(problems).every((some) => some.length === 0);

  const unsaved = useMemo(() => (isSound && soon !== kept.text ? (parse(soon) as Spec) : null), [isSound, soon, kept.text]);

  const [failed, setFailed] = useState<{ count: number; error: Error } | null>(null);
  // What was sent and not answered may be kept there.
  const unanswered = useRef(new Set<string>());
  const save = useMutation({
    // Whether Crossdock answers is seen by asking it.
    networkMode: "always",
    mutationFn: async (next: string) => {
      const { filter, read, write } = parse(next) as Spec;
      const put = (basedOnId: string) =>
        ask(MappingDraftDocument, { id: flow.id, basedOnId, input: { filter, sourceMapping: read, mapping: write, note: newest?.note ?? "" } }, tenant);
      const answer = await put(kept.id);
      if (unanswered.current.size === 0 || answer.flowDraft.userErrors[0]?.code !== "CHANGED") return answer;
      // Somebody has drafted meanwhile: that may have been ourselves.
      const there = (await ask(MappingFlowDocument, { id: flow.id }, tenant, undefined, readFlow)).flow?.newest;
      const isOwn = there && [...unanswered.current].some((text) => saysTheSame(parse(text), specOf(there)));
      return isOwn ? put(there.id) : answer;
    },
    onError: (error, next) => {
      unanswered.current.add(next);
      setFailed((before) => ({ count: (before?.count ?? 0) + 1, error }));
    },
    onSuccess: ({ flowDraft }, next) => {
      unanswered.current.clear();
      setFailed(null);
      const now = flowDraft.flow?.newest;
      if (flowDraft.userErrors.length === 0 && now) setKept({ ...now, text: next });
    },
  });
  const answer = save.data?.flowDraft.userErrors[0];
  // Where somebody else has drafted, nothing is kept any more until the page is loaded anew.
  const refused = answer && (answer.code === "CHANGED" || save.variables === text) ? answer.message : null;
  const isTried = save.isError && save.variables === text;
  const isDue = isSound && text !== kept.text && (quiet === text || left === text) && !save.isPending && refused === null && !isTried;
  const { mutate, reset } = save;
  useEffect(() => {
    if (isDue) mutate(text);
  }, [isDue, mutate, text]);
  const againMs = save.isError && failed ? againInMs(failed.count, failed.error) : null;
  useEffect(() => {
    if (againMs === null) return;
    // What was never tried is due.
    const wait = setTimeout(reset, againMs);
    return () => clearTimeout(wait);
  }, [againMs, reset]);

  const change = (next: Spec, isStep = false) => {
    if (isStep || isFresh.current) setPast((all) => [...all.slice(-PAST_MAX), spec]);
    isFresh.current = isStep;
    setSpec(next);
    if (isStep) setLeft(stringify(next));
  };
  const before = past.at(-1);
  return {
    spec,
    change,
    leave: () => {
      isFresh.current = true;
      setLeft(text);
      // Whoever leaves a cell has it tried at once.
      if (againMs !== null) reset();
      if (check.isError) void check.refetch();
    },
    undo: before
      ? () => {
          setPast((all) => all.slice(0, -1));
          isFresh.current = true;
          setSpec(before);
          setLeft(stringify(before));
        }
      : null,
    problems,
    missingTables: (check.data?.check.lookupTables ?? []).filter((table) => !table.exists).map((table) => table.name),
    isChecking: !isChecked,
    isSaving: save.isPending,
    isKept: text === kept.text,
    unsaved,
    kept,
    refused,
    error: check.error ?? (text === kept.text ? null : failed?.error),
    isTriedAgain: text !== kept.text && failed !== null && againInMs(failed.count, failed.error) !== null,
  };
}

/** The answer to `MappingFlow` with the digits of its rules: all other numbers of it are small. */
export function readFlow(text: string): unknown {
  type Answer = { data?: MappingFlowQuery };
  const [plain, exact] = [JSON.parse(text) as Answer, parse(text) as Answer];
  for (const version of ["published", "newest"] as const) {
    const [one, same] = [plain.data?.flow?.[version], exact.data?.flow?.[version]];
    if (one && same) Object.assign(one, { mapping: same.mapping, sourceMapping: same.sourceMapping });
  }
  return plain;
}
