// What is erased of a person, place by place, in words.
import type { PersonalDataEraseMutation } from "./query.generated";

export type Place = PersonalDataEraseMutation["personalDataErase"]["places"][number];

const WORDS: Record<string, [one: string, many: string]> = {
  record_revisions: ["document of a record", "documents of records"],
  messages: ["message as it came", "messages as they came"],
  attempts: ["call with what was sent and answered", "calls with what was sent and answered"],
  deliveries: ["correction of what is sent", "corrections of what is sent"],
  sent_groups: ["group of X12", "groups of X12"],
  exceptions: ["sentence of an exception", "sentences of exceptions"],
  exception_comments: ["comment", "comments"],
  differences: ["difference that a reconciliation found", "differences that reconciliations found"],
  undo_items: ["part of an undo", "parts of undos"],
  search_keys: ["address to search by", "addresses to search by"],
  audit_detail_keys: ["key of corrections in the audit log", "keys of corrections in the audit log"],
  records: ["set of words to search by", "sets of words to search by"],
};

export function records(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "record" : "records"}`;
}

/** A place that this version has no words for is named as it is. */
export function inWords({ place, rows }: Place): string {
  const [one, many] = WORDS[place] ?? [place, place];
  return `${rows.toLocaleString("en")} ${rows === 1 ? one : many}`;
}
