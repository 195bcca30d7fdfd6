// Small pictures beside words, never alone: drawn in the colour of the text, and nothing for screen readers.

/** Strokes on a field of 16 by 16. */
const STROKES = {
  overview: "M2.5 9.5h3l2-6 2.5 9 1.5-3h2",
  exceptions: "M8 2 1.8 13h12.4L8 2Zm0 4.2v3.3m0 1.7v.3",
  deliveries: "M1.5 4h8v7h-8zM9.5 6.5h3l2 2.5v2h-5M4.5 13a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm7 0a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
  records: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14",
  inventory: "M2 5 8 2l6 3v6.5L8 14l-6-2.5V5Zm0 0 6 2.7L14 5M8 7.7V14",
  reconciliations: "M2 4.5h12m-12 7h12M5 2 2 4.5 5 7m6 2 3 2.5-3 2.5",
  incidents: "M9 1.5 3 9h4l-1 5.5L13 7H8.5L9 1.5Z",
  drifts: "M1.5 5c2-2 4-2 6.5 0s4.5 2 6.5 0m-13 6c2-2 4-2 6.5 0s4.5 2 6.5 0",
  sunsets: "M1.5 12.5h13M4 10a4 4 0 0 1 8 0M8 2.5V4M2.8 5 4 6m9.2-1L12 6",
  connections: "M6 10 10 6M7 4.5 8.5 3a3 3 0 0 1 4.5 4.5L11.5 9M9 11.5 7.5 13A3 3 0 0 1 3 8.5L4.5 7",
  flows: "M2 3.5h4v3H2zM10 9.5h4v3h-4zM6 5h3a2 2 0 0 1 2 2v2.5",
  "lookup-tables": "M2 3h12v10H2zM2 6.5h12M6.5 6.5V13",
  backfills: "M3 8a5 5 0 1 1 1.5 3.6M3 13v-2.5h2.5M8 5v3l2 1.5",
  files: "M4 1.5h5.5L12.5 4.5v10H4zM9.5 1.5v3h3",
  alerts: "M8 2a4 4 0 0 0-4 4v3l-1.5 2.5h11L12 9V6a4 4 0 0 0-4-4ZM6.5 14h3",
  audit: "M3 2h10v12H3zM5.5 5h5M5.5 8h5M5.5 11h3",
  usage: "M2.5 13.5V9M6.2 13.5V5.5M9.9 13.5V7.5M13.5 13.5v-11",
  settings: "M2 4.5h5m4 0h3M2 11.5h3m4 0h5M9 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4Zm-2 7a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  menu: "M2 4h12M2 8h12M2 12h12",
} as const;
export type IconName = keyof typeof STROKES;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
      <path d={STROKES[name]} fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}
