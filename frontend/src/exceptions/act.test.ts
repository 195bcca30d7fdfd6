import { expect, test } from "vitest";
import { assigneeIn } from "./act";

test("a form without a choice assigns to nobody, and not to somebody of the name null", () => {
  const form = new FormData();
  expect(assigneeIn(form)).toBeNull();
  form.set("userId", "");
  expect(assigneeIn(form)).toBeNull();
  form.set("userId", "user_1");
  expect(assigneeIn(form)).toBe("user_1");
});
