// What each state of a delivery means, and who acts next: as docs/delivery.md says it. A person is needed in one of them only.

export interface Meaning {
  state: string;
  means: string;
  next: string;
}

export const STATES: readonly Meaning[] = [
  { state: "planned", means: "To be sent, when its turn comes.", next: "It goes by itself." },
  { state: "sending", means: "A call is under way.", next: "It ends by itself." },
  { state: "waiting", means: "A passing failure, or a limit of the destination’s.", next: "It is tried again by itself at the time that is shown." },
  { state: "held", means: "Its destination fails, and an incident says so.", next: "It goes by itself once the incident is over." },
  { state: "unknown", means: "It was sent, and no answer came.", next: "The destination is asked whether it has it before anything is sent again." },
  { state: "exception", means: "It stopped with a reason.", next: "A person acts: its cause is among the exceptions." },
  { state: "confirmed", means: "The destination said that it stored it.", next: "Nothing is to be done." },
  { state: "reconciled", means: "Both sides were compared and agree.", next: "Nothing is to be done." },
  { state: "superseded", means: "A later revision took its place before it was sent.", next: "Nothing is to be done." },
  { state: "cancelled", means: "A person decided that it is not sent.", next: "Nothing is to be done." },
];

export function meaningOf(state: string | undefined): Meaning | undefined {
  return STATES.find((one) => one.state === state);
}

/** Whether `dueAt` says when the next step is: of what is settled it says nothing. */
export function isOpen(state: string): boolean {
  return ["planned", "sending", "waiting", "held", "unknown"].includes(state);
}
