// Where everything stands on the map of flows. Connections that only send stand left, those that only receive right, and those that do both between
// them; each flow has a lane of its own in the space right of one of its two columns. The same flows always give the same map, and nothing on it
// covers anything else.

export interface MapFlow {
  id: string;
  name: string;
  from: string;
  to: string;
}

export interface Box {
  id: string;
  x: number;
  y: number;
}

export interface Lane extends Box {
  from: string;
  to: string;
  /** From where it leaves to where it arrives, through its lane, as an SVG path. */
  path: string;
}

export interface MapLayout {
  nodes: Box[];
  /** From the top to the bottom, the left ones first: as one reads. */
  lanes: Lane[];
  width: number;
  height: number;
}

export const NODE = { width: 200, height: 62 };
export const LANE = { width: 236, height: 46 };
const NODES_APART = 18;
const LANES_APART = 10;
/** Beside a lane, for the curves from and to its connections. */
const BEND = 52;
const PITCH = NODE.width + LANE.width + 2 * BEND;

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
/** Null of none. */
const mean = (numbers: readonly number[]) => (numbers.length === 0 ? null : numbers.reduce((sum, one) => sum + one, 0) / numbers.length);

/** `nameOf` gives a connection's name, by which those are ordered that nothing else orders. */
export function layOut(flows: readonly MapFlow[], nameOf: (id: string) => string): MapLayout {
  const columns = columnsOf(flows, nameOf);
  const columnOf = new Map(columns.flatMap((ids, column) => ids.map((id) => [id, column] as const)));
  const rankOf = new Map(columns.flatMap((ids) => ids.map((id, rank) => [id, rank] as const)));
  const at = (id: string) => columnOf.get(id) ?? 0;
  const rank = (id: string) => rankOf.get(id) ?? 0;
  // A lane lies in the space right of the left one of its two columns.
  const spans = flows.map((flow) => {
    const [left, right] = at(flow.from) <= at(flow.to) ? [flow.from, flow.to] : [flow.to, flow.from];
    return { flow, left, right, space: at(left), isLong: at(right) - at(left) > 1 };
  });
  spans.sort((a, b) => a.space - b.space || rank(a.left) - rank(b.left) || rank(a.right) - rank(b.right) || compare(a.flow.name, b.flow.name) || compare(a.flow.id, b.flow.id));

  // Lanes to the next column first; then the connections beside their lanes; then, below all of them, lanes that pass whole columns by.
  const laneY = new Map<string, number>();
  const bottoms = columns.map(() => 0);
  for (const { flow, space } of spans.filter((one) => !one.isLong)) {
    laneY.set(flow.id, bottoms[space] ?? 0);
    bottoms[space] = (bottoms[space] ?? 0) + LANE.height + LANES_APART;
  }
  const nodeY = new Map<string, number>();
  const middles = (id: string) => spans.filter((one) => one.left === id || one.right === id).flatMap(({ flow }) => (laneY.has(flow.id) ? [(laneY.get(flow.id) ?? 0) + LANE.height / 2] : []));
  const placeAll = (ids: readonly string[], from: number) => {
    let next = from;
    for (const one of ids.map((id) => ({ id, y: (mean(middles(id)) ?? next) - NODE.height / 2 })).sort((a, b) => a.y - b.y || rank(a.id) - rank(b.id))) {
      const y = Math.max(next, Math.round(one.y));
      nodeY.set(one.id, y);
      next = y + NODE.height + NODES_APART;
    }
    return next;
  };
  const isBeside = (id: string) => middles(id).length > 0;
  const ends = columns.map((ids) => placeAll(ids.filter(isBeside), 0));
  const late = columns.map((ids) => ids.filter((id) => !nodeY.has(id)));
  let below = Math.max(0, ...bottoms, ...ends);
  for (const { flow } of spans.filter((one) => one.isLong)) {
    laneY.set(flow.id, below);
    below += LANE.height + LANES_APART;
  }
  late.forEach((ids, column) => placeAll(ids, ends[column] ?? 0));

  const nodes = columns.flatMap((ids, column) => ids.map((id) => ({ id, x: column * PITCH, y: nodeY.get(id) ?? 0 })));
  const lanes = spans.map(({ flow, left, right, space }) => {
    const box = { id: flow.id, x: space * PITCH + NODE.width + BEND, y: laneY.get(flow.id) ?? 0 };
    const [a, b] = [left, right].map((id) => ({ x: at(id) * PITCH, y: (nodeY.get(id) ?? 0) + NODE.height / 2 })) as [Point, Point];
    return { ...box, from: flow.from, to: flow.to, path: at(left) === at(right) ? loop(box, flow.from === left ? a : b, flow.from === left ? b : a) : through(box, a, b, flow.from === left) };
  });
  lanes.sort((a, b) => a.x - b.x || a.y - b.y);
  const foot = (boxes: readonly Box[], height: number) => Math.max(0, ...boxes.map((box) => box.y + height));
  const hasLoop = spans.some((one) => one.left === one.right || at(one.left) === at(one.right));
  const last = Math.max(0, columns.length - 1);
  const isWide = hasLoop && spans.some((one) => one.space === last);
  return { nodes, lanes, width: columns.length === 0 ? 0 : last * PITCH + NODE.width + (isWide ? BEND + LANE.width : 0), height: Math.max(foot(nodes, NODE.height), foot(lanes, LANE.height)) };
}

/** Left, between (as two, where they send to each other), right; without those that would be empty. Each in an order by which lanes cross little. */
function columnsOf(flows: readonly MapFlow[], nameOf: (id: string) => string): string[][] {
  const ids = [...new Set(flows.flatMap((flow) => [flow.from, flow.to]))].sort((a, b) => compare(nameOf(a), nameOf(b)) || compare(a, b));
  const sends = new Set(flows.map((flow) => flow.from));
  const receives = new Set(flows.map((flow) => flow.to));
  const doesBoth = (id: string) => sends.has(id) && receives.has(id);
  const halves = inHalves(ids.filter(doesBoth), flows);
  const columns = [ids.filter((id) => !receives.has(id)), ...halves, ids.filter((id) => !sends.has(id))].filter((column) => column.length > 0);
  const rankOf = new Map<string, number>();
  return columns.map((column) => {
    const beside = (id: string) => mean(flows.filter((flow) => flow.from === id || flow.to === id).flatMap((flow) => rankOf.get(flow.from === id ? flow.to : flow.from) ?? []));
    const ordered = column.map((id, order) => ({ id, order, beside: beside(id) ?? order })).sort((a, b) => a.beside - b.beside || a.order - b.order);
    ordered.forEach(({ id }, rank) => rankOf.set(id, rank));
    return ordered.map(({ id }) => id);
  });
}

/** Those that do both, in two columns, so that a flow between two of them has somewhere to go: beside whoever sends most stand those it sends to, and so on. */
function inHalves(ids: readonly string[], flows: readonly MapFlow[]): [string[], string[]] {
  const both = new Set(ids);
  const inner = flows.filter((flow) => both.has(flow.from) && both.has(flow.to) && flow.from !== flow.to);
  const surplus = (id: string) => inner.filter((flow) => flow.from === id).length - inner.filter((flow) => flow.to === id).length;
  const isRight = new Map<string, boolean>();
  for (const first of [...ids].sort((a, b) => surplus(b) - surplus(a))) {
    if (isRight.has(first)) continue;
    isRight.set(first, false);
    const next = [first];
    for (let id = next.shift(); id !== undefined; id = next.shift()) {
      for (const flow of inner) {
        const other = flow.from === id ? flow.to : flow.to === id ? flow.from : undefined;
        if (other === undefined || isRight.has(other)) continue;
        isRight.set(other, !isRight.get(id));
        next.push(other);
      }
    }
  }
  return [ids.filter((id) => !isRight.get(id)), ids.filter((id) => isRight.get(id))];
}

interface Point {
  x: number;
  y: number;
}

/** From the right side of `a` through the lane to the left side of `b`, or the same way back. */
function through(lane: Box, a: Point, b: Point, isForward: boolean): string {
  const y = lane.y + LANE.height / 2;
  const [start, into, out, end] = [a.x + NODE.width, lane.x, lane.x + LANE.width, b.x];
  // What passes columns by goes straight on below them, and turns in the last space.
  const turn = Math.max(out, end - BEND);
  const half = BEND / 2;
  return isForward
    ? `M${start},${a.y} C${start + half},${a.y} ${into - half},${y} ${into},${y} L${turn},${y} C${turn + half},${y} ${end - half},${b.y} ${end},${b.y}`
    : `M${end},${b.y} C${end - half},${b.y} ${turn + half},${y} ${turn},${y} L${into},${y} C${into - half},${y} ${start + half},${a.y} ${start},${a.y}`;
}

/** Between two of one column, or from one to itself: out to the lane, and back from it. */
function loop(lane: Box, from: Point, to: Point): string {
  const [start, into, half, apart] = [from.x + NODE.width, lane.x, BEND / 2, LANE.height / 4];
  const [above, below] = from.y <= to.y ? [lane.y + apart, lane.y + LANE.height - apart] : [lane.y + LANE.height - apart, lane.y + apart];
  return `M${start},${from.y - (from.y === to.y ? apart : 0)} C${start + half},${from.y} ${into - half},${above} ${into},${above} L${into},${below} C${into - half},${below} ${start + half},${to.y} ${start},${to.y + (from.y === to.y ? apart : 0)}`;
}
