// What is measured against a limit, on a machine that does other things, too.

const ROUNDS = 3;

/** How near what was measured comes to its limits, at the worst of them: up to 1 all are kept. */
const nearness = (measured, limits) => Math.max(...Object.keys(limits).map((name) => measured[name] / limits[name]));

/** The first round in which all limits are kept, and where none is, the one of three that came nearest. `measure` gives each number under its limit's name. */
export async function bestOf(limits, measure) {
  let best = await measure();
  for (let round = 1; round < ROUNDS && nearness(best, limits) > 1; round += 1) {
    const next = await measure();
    if (nearness(next, limits) < nearness(best, limits)) best = next;
  }
  return best;
}
