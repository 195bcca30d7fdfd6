// A chart of pieces that lie side by side, as bars and lines over one axis: d3 has the scales, the axes and the lines, and colours are those of the theme.
// What is pointed at is said under it, piece by piece with the arrow keys, too; all of it stands in a table for who does not see it, unless the page has one.
import { useLayoutEffect, useRef, useState } from "react";
import { axisBottom, axisLeft, type Axis as Drawn } from "d3-axis";
import { select } from "d3-selection";
import { line } from "d3-shape";
import { HEIGHT, MARGIN, pieceAt, scalesOf, type Series } from "./scales";
import { useWidth } from "./width";

export interface ChartPiece {
  /** Under the axis: 10:05. */
  name: string;
  /** Where it is spoken of: 10:05 to 10:10. */
  title: string;
}

interface ChartProps {
  label: string;
  pieces: readonly ChartPiece[];
  series: readonly Series[];
  /** A value as it is said; at the axis shorter, where it is another there. */
  word: (value: number) => string;
  tick?: (value: number) => string;
  isWhole?: boolean;
  /** The piece that stands out. */
  current?: number;
  /** The page has the values in a table already. */
  isInTable?: boolean;
}

const DOT_PX = 2.5;

export function Chart({ label, pieces, series, word, tick = word, isWhole = false, current = -1, isInTable = false }: ChartProps) {
  const [plot, width] = useWidth<HTMLDivElement>();
  const [chosen, choose] = useState<number | null>(null);
  const last = pieces.length - 1;
  const at = chosen === null ? null : Math.min(chosen, last);
  const names = pieces.map((piece) => piece.name);
  const { x, within, y, named, lines } = scalesOf(names, series, width, isWhole);
  const middle = (index: number) => (x(index) ?? 0) + x.bandwidth() / 2;
  const path = line<number | null>()
    .defined((value) => value !== null)
    .x((_, index) => middle(index))
    .y((value) => y(value ?? 0));
  const bars = series.filter((one) => one.as === "bar");
  const said = (index: number) => `${pieces[index]?.title}: ${series.map((one) => `${valueOf(one, index, word)} ${one.name}`).join(", ")}`;
  const step = (event: React.KeyboardEvent) => {
    const from = at ?? last;
    const to = { ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1, Home: 0, End: last }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    choose(Math.min(Math.max(0, to), last));
  };
  return (
    <div className="chart">
      <div
        ref={plot}
        className="plot"
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={1}
        aria-valuemax={Math.max(1, pieces.length)}
        aria-valuenow={(at ?? Math.max(0, last)) + 1}
        aria-valuetext={last < 0 ? "Nothing yet" : said(at ?? last)}
        onKeyDown={step}
        onFocus={() => choose((before) => before ?? Math.max(0, last))}
        onBlur={() => choose(null)}
        onPointerMove={(event) => choose(pieceAt(x, event.clientX - event.currentTarget.getBoundingClientRect().left))}
        onPointerLeave={() => choose(null)}
      >
        {width > 0 && (
          <svg width={width} height={HEIGHT} aria-hidden="true" focusable="false">
            <Axis className="axis values" left={MARGIN.left} top={0} draw={axisLeft(y).tickValues(lines).tickFormat((value) => tick(Number(value))).tickSize(MARGIN.left + MARGIN.right - width)} />
            {at !== null && <rect className="at" x={(x(at) ?? 0) - (x.step() - x.bandwidth()) / 2} y={MARGIN.top} width={x.step()} height={HEIGHT - MARGIN.top - MARGIN.bottom} />}
            {bars.map((one, order) =>
              one.values.map((value, index) => (
                <rect
                  key={`${one.name} ${pieces[index]?.title}`}
                  className={`bar-of ${index === current ? "accent" : one.tone}`}
                  x={(x(index) ?? 0) + (within(order) ?? 0)}
                  y={y(value ?? 0)}
                  width={within.bandwidth()}
                  height={Math.max(0, y(0) - y(value ?? 0))}
                />
              )),
            )}
            {series.map(
              (one) =>
                one.as === "line" && (
                  <g key={one.name} className={`line-of ${one.tone}`}>
                    <path d={path(one.values) ?? undefined} />
                    {one.values.map((value, index) => value !== null && <circle key={pieces[index]?.title} cx={middle(index)} cy={y(value)} r={index === at ? DOT_PX + 1 : DOT_PX} />)}
                  </g>
                ),
            )}
            <Axis className="axis" left={0} top={HEIGHT - MARGIN.bottom} draw={axisBottom(x).tickValues(named).tickFormat((index) => names[index] ?? "").tickSize(0).tickPadding(6)} />
          </svg>
        )}
      </div>
      <p className="legend small" aria-hidden="true">
        {at !== null && last >= 0 && <span className="nowrap">{pieces[at]?.title}</span>}
        {(at !== null || series.length > 1) &&
          series.map((one) => (
            <span key={one.name} className="nowrap">
              <span className={`swatch ${one.tone}`} /> {at !== null && last >= 0 && <strong className="num">{valueOf(one, at, word)}</strong>} {one.name}
            </span>
          ))}
      </p>
      {!isInTable && last >= 0 && (
        <div className="hidden-label">
          <table>
            <caption>{label}</caption>
            <thead>
              <tr>
                <th scope="col">When</th>
                {series.map((one) => (
                  <th key={one.name} scope="col">
                    {one.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {pieces.map((piece, index) => (
                <tr key={piece.title}>
                  <th scope="row">{piece.title}</th>
                  {series.map((one) => (
                    <td key={one.name}>{valueOf(one, index, word)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function valueOf(one: Series, index: number, word: (value: number) => string): string {
  const value = one.values[index] ?? null;
  return value === null ? "none" : word(value);
}

/** d3 draws an axis into an element, which React leaves to it. */
function Axis<Domain>({ draw, className, left, top }: { draw: Drawn<Domain>; className: string; left: number; top: number }) {
  const place = useRef<SVGGElement>(null);
  useLayoutEffect(() => {
    if (place.current) select(place.current).call(draw);
  });
  return <g ref={place} className={className} transform={`translate(${left},${top})`} />;
}
