// How far an act came that is about several causes: each is one request of its own, so what is done of them is known.
export interface Progress {
  /** Causes that are done, and exceptions of theirs. */
  done: number;
  count: number;
  /** Causes in all. */
  of: number;
}

export const many = (count: number) => `${count.toLocaleString()} ${count === 1 ? "exception" : "exceptions"}`;

/** While it goes on; of one cause nothing is known before all of it is done. */
export function meanwhile({ done, count, of }: Progress, chosen: number): string {
  return of > 1 ? `${done.toLocaleString()} of ${of.toLocaleString()} causes are done, with ${many(count)}.` : `Working on ${many(chosen)}.`;
}

/** After it stopped in the middle, so that nobody thinks that nothing was done; null where nothing was. What was refused was not done; of what was not answered nobody knows. */
export function stopped({ done, count, of }: Progress, isRefused: boolean): string | null {
  if (done === 0 || done === of) return null;
  const others = isRefused ? "the others are as they were" : "whether the next cause is, nobody knows until it is looked at";
  return `It stopped after ${done.toLocaleString()} of ${of.toLocaleString()} causes: ${many(count)} ${count === 1 ? "is" : "are"} done, ${others}.`;
}
