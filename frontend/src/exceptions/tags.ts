// Taking a tag back from those alone that lacked it before it was added, and giving it back to those alone that had it.
import type { ExceptionSelectionInput, ExceptionTagMutationVariables } from "./query.generated";

/** A cause, or one exception, with the tags that it has. */
export interface Tagged {
  selection: ExceptionSelectionInput;
  tags: readonly string[];
}

/** The ways back, those of single exceptions as one; none where nothing was another than it is now. */
export function wayBack(all: readonly Tagged[], tag: string, isAdded: boolean): ExceptionTagMutationVariables[] {
  // As the API keeps it.
  const kept = tag.trim().toLowerCase();
  const changed = all.filter(({ tags }) => tags.includes(kept) !== isAdded).map(({ selection }) => selection);
  const ids = changed.flatMap((selection) => selection.ids ?? []);
  const selections = [...changed.filter(({ causeKey }) => causeKey), ...(ids.length > 0 ? [{ ids }] : [])];
  return selections.map((input) => ({ input, add: isAdded ? [] : [kept], remove: isAdded ? [kept] : [] }));
}
