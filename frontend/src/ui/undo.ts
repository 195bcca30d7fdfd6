// Taking an act back by another one, and saying what came of that.
import { useQueryClient } from "@tanstack/react-query";
import { ask, type Query, type UserError } from "../api/client";
import { useTenantIfAny } from "../api/hooks";
import { useTell, type Undo } from "./notice";
import { sentence } from "./state";

type Payload = { userErrors: UserError[] };

/** Makes the way back of an act, or of several that were done as one. It works after the dialog that did the act is gone, and after the page is. */
export function useUndo() {
  const tenant = useTenantIfAny();
  const client = useQueryClient();
  const tell = useTell();
  return <Result, Variables>(query: Query<Result, Variables>, values: Variables | Variables[], payloadOf: (result: Result) => Payload, done: string): Undo => {
    const back = async () => {
      const errors: UserError[] = [];
      for (const one of Array.isArray(values) ? (values as Variables[]) : [values]) errors.push(...payloadOf(await ask(query, one, tenant)).userErrors);
      return errors[0];
    };
    return () => {
      back()
        .then((error) => tell(error ? sentence(error.message) : done, error ? "bad" : "good"))
        .catch((error: unknown) => tell(sentence(error instanceof Error ? error.message : "It could not be taken back"), "bad"))
        .finally(() => void client.invalidateQueries({ queryKey: [tenant ?? null] }));
    };
  };
}
