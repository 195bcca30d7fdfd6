// Reading and acting, for pages: everything that is shown is asked of the server and asked again; nothing is kept that it does not know.
import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";
import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { heldIn, onImpersonation, type Running } from "../session/impersonation";
import { listen, paced } from "./changes";
import { ask, isRefused, restMs, type Query, type Read, type UserError } from "./client";

/** The tenant that the page's address names. */
export function useTenant(): string {
  return useParams({ from: "/t/$tenant" }).tenant;
}

/** The same where a page need not be a tenant's: one's own account, and the support console. */
export function useTenantIfAny(): string | undefined {
  return useParams({ strict: false }).tenant;
}

/** Support in the place of the page's tenant, by this tab; null for everybody else. */
export function useHeld(): Running | null {
  const tenant = useTenantIfAny();
  return useSyncExternalStore(onImpersonation, () => heldIn(tenant));
}

/** Each look of support stands in the tenant's audit log: pages that ask again by themselves do it less often then, so that people find there what people did. */
const SUPPORT_EVERY_MS = 60_000;

/** False where it is not asked again by itself. A server that asked for patience is given it. */
function paceIn(tenant: string | undefined, everyMs: number | undefined, error: unknown, pages = 1): number | false {
  if (everyMs === undefined) return false;
  const ms = heldIn(tenant) ? Math.max(everyMs, SUPPORT_EVERY_MS) : paced(everyMs);
  return Math.max(ms * pages, restMs(error, Date.now()));
}

interface Options {
  /** How often it is asked again while the page is looked at. */
  everyMs?: number;
  isWanted?: boolean;
  /** What the answer depends on beside the values: it is asked for anew when that is another. */
  of?: string;
  read?: Read;
  /** It costs the server much, or is hardly ever another: asked for again when its time comes, and not at each change that is told. */
  isDear?: boolean;
  /** It stays whatever is answered next: names are no news, and what somebody has typed into a form must not go with it. */
  isKept?: boolean;
}

/** Of names and of what one chooses from: who works while much comes would ask for them every two seconds. */
export const SELDOM: Options = { everyMs: 60_000, isDear: true, isKept: true };

/**
 * It comes for the first time, and nothing has gone wrong with it yet: what it would move waits for it so long, and stands without it else, also while it is
 * tried again.
 */
export const isAwaited = ({ isLoading, isFetched, failureCount }: { isLoading: boolean; isFetched: boolean; failureCount: number }) => isLoading && !isFetched && failureCount === 0;

export function useAsk<Result, Variables>(query: Query<Result, Variables>, values: Variables, options: Options = {}) {
  const tenant = useTenantIfAny();
  const asked = useQuery({
    queryKey: options.of === undefined ? [tenant ?? null, query, values] : [tenant ?? null, query, values, options.of],
    queryFn: ({ signal }) => ask(query, values, tenant, signal, options.read),
    refetchInterval: ({ state }) => paceIn(tenant, options.everyMs, state.error),
    enabled: options.isWanted ?? true,
    meta: { isDear: options.isDear ?? false },
    placeholderData: keepPreviousData,
  });
  // An older answer is more than none while Crossdock is away, which is said above the page. A refusal is about this part: it is said in its place.
  if (options.isKept || !asked.isRefetchError || !isRefused(asked.error)) return asked;
  return { ...asked, data: undefined, isLoadingError: true as const, isRefetchError: false as const };
}

/** A list of more pages is asked for again less often, and not at each change or look: all of them come each time. */
const PAGES_AT_ONCE = 3;

const pagesIn = (data: unknown) => (data as { pages?: unknown[] } | undefined)?.pages?.length ?? 1;

interface Page<Node> {
  nodes: Node[];
  pageInfo: { hasNextPage: boolean; endCursor?: string | null };
}

/** All pages of a list that were asked for until now, as one. */
export function usePages<Result, Variables extends object, Node>(
  query: Query<Result, Variables>,
  values: Variables,
  pageOf: (result: Result) => Page<Node>,
  options: Options = {},
) {
  const tenant = useTenant();
  const asked = useInfiniteQuery({
    queryKey: [tenant, query, values, "pages"],
    queryFn: ({ pageParam, signal }) => ask(query, { ...values, after: pageParam }, tenant, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => {
      const { pageInfo } = pageOf(last);
      return pageInfo.hasNextPage ? (pageInfo.endCursor ?? null) : null;
    },
    // All pages are asked for again, so many of them less often.
    refetchInterval: ({ state }) => paceIn(tenant, options.everyMs, state.error, Math.max(1, state.data?.pages.length ?? 1)),
    // Who comes back to a long list finds it as they left it.
    refetchOnWindowFocus: (query) => pagesIn(query.state.data) <= PAGES_AT_ONCE,
    enabled: options.isWanted ?? true,
    meta: { isDear: options.isDear ?? false },
    placeholderData: keepPreviousData,
  });
  // Named one by one: a page is drawn anew for what is read here only, and not twice for each time that it asks and nothing is different.
  const { error, isPending, isLoading, isFetched, failureCount, isFetchingNextPage, isFetchNextPageError, fetchNextPage, refetch } = asked;
  // As above; where only the next page is refused, the ones before stand as they did.
  const isOver = isRefused(error) && !isFetchNextPageError;
  const data = isOver ? undefined : asked.data;
  const hasNextPage = asked.hasNextPage && !isOver;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  // The same rows as long as nothing else came: a table of very many is not gone through anew with each drawing.
  const pages = data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => pageOf(page).nodes) ?? [], [pages]);
  return { data, error, isPending, isLoading, isFetched, failureCount, hasNextPage, isFetchNextPageError, refetch, rows, more };
}

/** What is told is asked for again so often at most. */
const TOLD_EVERY_MS = 2_000;

/** Asks again for what is shown as soon as the server says that something changed, while the page is looked at. */
export function useChanges<Result, Variables>(query: Query<Result, Variables>): void {
  const tenant = useTenant();
  const client = useQueryClient();
  // Each look of support is an event of the tenant, and would tell of itself.
  const isHeld = useHeld() !== null;
  useEffect(() => {
    if (isHeld) return;
    let over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    // Answers from before are old. That the listening begins says nothing of what was answered since: a page that was just loaded asks for nothing twice.
    let oldBefore = 0;
    const again = () => {
      const before = oldBefore;
      timer = undefined;
      oldBefore = 0;
      void client.invalidateQueries({ queryKey: [tenant], predicate: ({ state, meta }) => state.dataUpdatedAt < before && pagesIn(state.data) <= PAGES_AT_ONCE && !meta?.["isDear"] && restMs(state.error, Date.now()) === 0 });
    };
    const tell = (isBeginning: boolean) => {
      oldBefore = Math.max(oldBefore, isBeginning ? Date.now() : Number.POSITIVE_INFINITY);
      timer ??= setTimeout(again, TOLD_EVERY_MS);
    };
    const look = () => {
      over.abort();
      over = new AbortController();
      // Who does not look is told when they come back: a stream begins with that.
      if (document.visibilityState === "visible") void listen(query, tenant, over.signal, tell);
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      clearTimeout(timer);
      over.abort();
    };
  }, [client, query, tenant, isHeld]);
}

/** An act. What everybody shows is asked for again when it is done, because an act on one thing changes others. */
export function useAct<Result, Variables>(query: Query<Result, Variables>) {
  const tenant = useTenantIfAny();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (values: Variables) => ask(query, values, tenant),
    // Not waited for: what a page says of its act must be said before what comes back takes its form away.
    onSettled: () => void client.invalidateQueries({ queryKey: [tenant ?? null] }),
  });
}

/** What is wrong with one field of an input, by the end of its path; "" finds what is about no field that is shown. */
export function wrongWith(errors: readonly UserError[] | undefined, field: string): string | null {
  return errors?.find((error) => error.field.at(-1) === field)?.message ?? null;
}

/** What `node(id)` gave, where it is of the kind that was asked for. */
export function nodeWith<Node extends object>(node: Node | null | undefined, key: string): Exclude<Node, Record<PropertyKey, never>> | null {
  return node && key in node ? (node as Exclude<Node, Record<PropertyKey, never>>) : null;
}
