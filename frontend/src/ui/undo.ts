// Taking an act back by another one, and saying what came of that.
import { useQueryClient } from "@tanstack/react-query";
import { ask, type Query, type UserError } from "../api/client";
import { useTenantIfAny } from "../api/hooks";
import { useTell, type Undo } from "./notice";
import { sentence } from "./state";

type Payload = { userErrors: UserError[] };

/**
 * Makes the way back of an act, or of several that were done as one. It works after the dialog that did the act is gone, and after the page is. What it came to
 * may be said from what was answered, where not all of it may be taken back.
 */
export function useUndo() {
  const tenant = useTenantIfAny();
  const client = useQueryClient();
  const tell = useTell();
  return <Result, Variables>(query: Query<Result, Variables>, values: Variables | Variables[], payloadOf: (result: Result) => Payload, done: string | ((results: Result[]) => string)): Undo => {
    const back = async () => {
      const results: Result[] = [];
      for (const one of Array.isArray(values) ? (values as Variables[]) : [values]) results.push(await ask(query, one, tenant));
      return results;
    };
    return () => {
      back()
        .then((results) => {
          const error = results.flatMap((result) => payloadOf(result).userErrors)[0];
          if (error) tell(sentence(error.message), "bad");
          else tell(typeof done === "string" ? done : done(results), "good");
        })
        .catch((error: unknown) => tell(sentence(error instanceof Error ? error.message : "It could not be taken back"), "bad"))
        .finally(() => void client.invalidateQueries({ queryKey: [tenant ?? null] }));
    };
  };
}
