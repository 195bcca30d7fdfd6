import { expect, test } from "vitest";
import { currentOf, endOf } from "./current";

const rows = (...ids: string[]) => ids.map((id) => ({ id }));

test("without a name in the address the first is shown, and it stays when another joins the cause", () => {
  const first = currentOf(null, undefined, rows("b", "a"), null);
  expect(first).toEqual({ id: "b", named: undefined, wasOpen: true });
  // The very same: what is worked on is not drawn anew.
  expect(currentOf(first, undefined, rows("c", "b", "a"), null)).toBe(first);
  expect(currentOf(null, undefined, [], null)).toBeNull();
});

test("it stays when so many join that it is none of those that are loaded, as long as it is open", () => {
  const first = currentOf(null, undefined, rows("b"), null);
  expect(currentOf(first, undefined, rows("d", "c"), null)).toBe(first);
  expect(currentOf(first, undefined, rows("d", "c"), { id: "b", state: "open" })).toBe(first);
});

test("the address names exactly one, loaded or not, open or closed", () => {
  expect(currentOf(null, "z", [], null)).toEqual({ id: "z", named: "z", wasOpen: false });
  const old = currentOf(null, "z", rows("b", "a"), { id: "z", state: "open" });
  expect(old).toEqual({ id: "z", named: "z", wasOpen: true });
  const closed = currentOf(null, "z", rows("b", "a"), { id: "z", state: "resolved" });
  expect(closed).toEqual({ id: "z", named: "z", wasOpen: false });
  expect(currentOf(closed, "z", rows("c", "b", "a"), { id: "z", state: "resolved" })).toBe(closed);
});

test("once it is done the next is shown, and the address may follow", () => {
  const named = currentOf(null, "a", rows("b", "a"), null);
  const next = currentOf(named, "a", rows("c", "b"), { id: "a", state: "resolved" });
  expect(next).toEqual({ id: "c", named: "a", wasOpen: true });
  expect(currentOf(next, "a", rows("c", "b"), null)).toBe(next);
  expect(currentOf(next, "c", rows("c", "b"), null)).toEqual({ id: "c", named: "c", wasOpen: true });
  // Of the last one it is seen how it ended.
  expect(currentOf(named, "a", [], { id: "a", state: "resolved" })).toBe(named);
});

test("whoever moves is where they went, and what is known of another says nothing", () => {
  const first = currentOf(null, undefined, rows("b", "a"), null);
  expect(currentOf(first, "a", rows("b", "a"), null)?.id).toBe("a");
  expect(currentOf(first, "z", rows("b", "a"), { id: "b", state: "resolved" })).toEqual({ id: "z", named: "z", wasOpen: false });
  expect(currentOf({ id: "a", named: "a", wasOpen: true }, undefined, rows("b", "a"), null)?.id).toBe("b");
});

test("of a closed exception it is said how it ended, when and by whom", () => {
  const history = [
    { at: "2026-11-29T12:00:00Z", by: "Ada", action: "exception.commented" },
    { at: "2026-11-29T11:00:00Z", by: "Grace", action: "exception.ignored" },
  ];
  expect(endOf({ state: "open", resolution: null, closedAt: null, history: [] })).toBeNull();
  expect(endOf({ state: "ignored", resolution: "A test order", closedAt: "2026-11-29T11:00:00Z", history })).toEqual({ how: "A test order", at: "2026-11-29T11:00:00Z", by: "Grace" });
  expect(endOf({ state: "resolved", resolution: null, closedAt: null, history: [] })).toEqual({ how: "It went on", at: null, by: null });
});
