import { expect, test } from "vitest";
import { LANE, layOut, NODE, type MapFlow, type MapLayout } from "./map-layout";

const flow = (from: string, to: string, name = `${from} to ${to}`): MapFlow => ({ id: `${from}>${to}>${name}`, name, from, to });
const named = (id: string) => id;
const columnOf = (layout: MapLayout, id: string) => [...new Set(layout.nodes.map(({ x }) => x))].sort((a, b) => a - b).indexOf(layout.nodes.find((node) => node.id === id)?.x ?? -1);

interface Area {
  id: string;
  x: number;
  y: number;
  width: number;
  height: number;
}
const areas = ({ nodes, lanes }: MapLayout): Area[] => [...nodes.map((box) => ({ ...box, ...NODE })), ...lanes.map((box) => ({ ...box, ...LANE }))];
const covered = (layout: MapLayout) => {
  const all = areas(layout);
  return all.flatMap((a, index) => all.slice(index + 1).filter((b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height).map((b) => `${a.id} and ${b.id}`));
};

/** The same numbers each time, from a seed. */
function numbers(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
const anyFlows = (seed: number, count: number, connections: number) => {
  const next = numbers(seed);
  return Array.from({ length: count }, (_, index) => ({ id: `flow ${index}`, name: `name ${next(7)}`, from: `connection ${next(connections)}`, to: `connection ${next(connections)}` }));
};

test("who only sends stands left, who only receives right, and who does both between them", () => {
  const layout = layOut([flow("shop", "erp"), flow("erp", "warehouse"), flow("market", "warehouse")], named);
  expect(["shop", "market", "erp", "warehouse"].map((id) => columnOf(layout, id))).toEqual([0, 0, 1, 2]);
  expect(covered(layout)).toEqual([]);
});

test("two that send to each other stand beside each other, and not in one column", () => {
  const layout = layOut([flow("shop", "erp", "orders"), flow("erp", "shop", "items"), flow("erp", "shop", "levels")], named);
  expect([columnOf(layout, "erp"), columnOf(layout, "shop")]).toEqual([0, 1]);
  expect(new Set(layout.lanes.map(({ x }) => x)).size).toBe(1);
  // Each begins where it comes from: the orders at the left side of the shop, the others at the right side of the ERP.
  const shop = layout.nodes.find(({ id }) => id === "shop");
  const orders = layout.lanes.find(({ id }) => id.endsWith("orders"));
  expect(orders?.path.startsWith(`M${shop?.x},`)).toBe(true);
  expect(layout.lanes.filter(({ path }) => path.startsWith(`M${NODE.width},`))).toHaveLength(2);
});

test("the same flows in any order give the same map", () => {
  const flows = anyFlows(7, 60, 12);
  expect(layOut(flows.toReversed(), named)).toEqual(layOut(flows, named));
});

test("nothing covers anything, however many flows there are and whatever they connect", { timeout: 60_000 }, () => {
  for (let seed = 1; seed <= 24; seed += 1) {
    const layout = layOut(anyFlows(seed, seed * 12, 1 + (seed * 7) % 40), named);
    expect(covered(layout), `seed ${seed}`).toEqual([]);
    expect(areas(layout).filter((one) => one.x < 0 || one.y < 0 || one.x + one.width > layout.width || one.y + one.height > layout.height).map(({ id }) => id), `off the map of seed ${seed}`).toEqual([]);
  }
});

test("a flow that passes a column by does it below what stands there", () => {
  const layout = layOut([flow("shop", "erp"), flow("erp", "warehouse"), flow("shop", "warehouse")], named);
  const erp = layout.nodes.find(({ id }) => id === "erp");
  const long = layout.lanes.find(({ id }) => id.startsWith("shop>warehouse"));
  expect(long?.y).toBeGreaterThanOrEqual((erp?.y ?? 0) + NODE.height);
});

test("no flow, and one that goes back to where it came from, have a map, too", () => {
  expect(layOut([], named)).toEqual({ nodes: [], lanes: [], width: 0, height: 0 });
  const layout = layOut([flow("erp", "erp")], named);
  expect([layout.nodes.length, layout.lanes.length, covered(layout)]).toEqual([1, 1, []]);
  expect(layout.lanes[0]?.path).not.toContain("NaN");
});

test("names are what things are ordered by, and never a part of what is drawn", () => {
  const hostile = '"/><script>window.owned=1</script>';
  const layout = layOut([flow(hostile, "erp"), flow("erp", hostile), flow(hostile, hostile)], () => hostile);
  for (const { path } of layout.lanes) expect(path).toMatch(/^[MCL\d.,\s-]+$/);
  expect(covered(layout)).toEqual([]);
});
