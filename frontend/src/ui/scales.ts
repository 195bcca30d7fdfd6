// Where a chart has what: a band for each of its pieces from left to right, and values from 0 at its foot to a round number at its head.
import { scaleBand, scaleLinear, type ScaleBand, type ScaleLinear } from "d3-scale";

export interface Series {
  /** As it stands in the legend and before its value: accepted, confirmed. */
  name: string;
  as: "bar" | "line";
  tone: "accent" | "quiet";
  /** One for each piece; null where there is none. */
  values: readonly (number | null)[];
}

export interface Scales {
  x: ScaleBand<number>;
  /** Bars of several series stand side by side in the band of their piece. */
  within: ScaleBand<number>;
  y: ScaleLinear<number, number>;
  /** The pieces whose names stand under the axis: as many as there is room for, the last one always. */
  named: number[];
  /** Values with a line. */
  lines: number[];
}

export const HEIGHT = 96;
export const MARGIN = { top: 8, right: 16, bottom: 20, left: 44 };
const LINES = 2;
const LETTER_PX = 6.5;
const APART_PX = 12;

/** `isWhole` where a half of what is counted would say nothing. */
export function scalesOf(names: readonly string[], series: readonly Series[], width: number, isWhole = false): Scales {
  const inner = Math.max(MARGIN.left, width - MARGIN.right);
  const x = scaleBand<number>().domain(names.map((_, index) => index)).range([MARGIN.left, inner]).paddingInner(0.2).paddingOuter(0.1);
  const bars = series.filter((one) => one.as === "bar");
  const within = scaleBand<number>().domain(bars.map((_, index) => index)).range([0, x.bandwidth()]).paddingInner(0.1);
  const most = Math.max(0, ...series.flatMap((one) => one.values.map((value) => value ?? 0)));
  const y = scaleLinear().domain([0, most > 0 ? most : 1]).nice(LINES).range([HEIGHT - MARGIN.bottom, MARGIN.top]);
  const longest = Math.max(1, ...names.map((name) => name.length));
  const each = x.step() > 0 ? Math.ceil((longest * LETTER_PX + APART_PX) / x.step()) : names.length;
  return {
    x,
    within,
    y,
    named: x.domain().filter((index) => (names.length - 1 - index) % Math.max(1, each) === 0),
    lines: y.ticks(LINES).filter((value) => !isWhole || Number.isInteger(value)),
  };
}

/** The piece at this distance from the chart's left; the nearest where it is beside them. */
export function pieceAt(x: ScaleBand<number>, px: number): number {
  const [first = 0] = x.range();
  const at = Math.floor((px - first) / Math.max(1, x.step()));
  return Math.min(Math.max(0, at), Math.max(0, x.domain().length - 1));
}
