import { expect, test } from "vitest";
import { byRisk } from "./risk";

test("what may break most comes first, and what is alike stays as it came", () => {
  const drifts = [{ id: 1, risk: "low" }, { id: 2, risk: "medium" }, { id: 3, risk: "high" }, { id: 4, risk: "low" }, { id: 5, risk: "medium" }];
  expect(byRisk(drifts).map(({ id }) => id)).toEqual([3, 2, 5, 1, 4]);
});
