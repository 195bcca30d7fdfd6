import { renderToStaticMarkup } from "react-dom/server";
import { expect, test, vi } from "vitest";
import type { Query } from "../api/client";
import { useFormAct } from "./form-dialog";

const { mutateAsync, tell, isThere } = vi.hoisted(() => ({ mutateAsync: vi.fn(), tell: vi.fn(), isThere: { current: true } }));
vi.mock("../api/hooks", () => ({ useAct: () => ({ mutateAsync }) }));
vi.mock("./notice", () => ({ useTell: () => tell }));
vi.mock("./is-there", () => ({ useIsThere: () => isThere }));

interface Payload {
  userErrors: { field: string[]; code: string; message: string }[];
}
const CHANGE = "mutation { change }" as Query<Payload, object>;
const TAKEN: Payload = { userErrors: [{ field: ["name"], code: "TAKEN", message: "another one has this name" }] };

/** What is told, and whether the form is closed, where the act comes to this. */
async function after(came: Promise<Payload>, isFormThere: boolean) {
  vi.clearAllMocks();
  const close = vi.fn();
  isThere.current = isFormThere;
  mutateAsync.mockReturnValue(came);
  function Form() {
    useFormAct(CHANGE, (result) => result, () => "It is changed.", close).run({});
    return null;
  }
  renderToStaticMarkup(<Form />);
  await came.catch(() => null);
  return { told: tell.mock.calls.map(([text, tone]) => `${tone}: ${text}`), isClosed: close.mock.calls.length > 0 };
}

test("a form that is there closes when its act is done, and says itself what is wrong", async () => {
  expect(await after(Promise.resolve({ userErrors: [] }), true)).toEqual({ told: ["good: It is changed."], isClosed: true });
  expect(await after(Promise.resolve(TAKEN), true)).toEqual({ told: [], isClosed: false });
  expect(await after(Promise.reject(new Error("it does not answer")), true)).toEqual({ told: [], isClosed: false });
});

test("what became of an act is told where its form is gone, and no other form is closed", async () => {
  expect(await after(Promise.resolve({ userErrors: [] }), false)).toEqual({ told: ["good: It is changed."], isClosed: false });
  expect(await after(Promise.resolve(TAKEN), false)).toEqual({ told: ["bad: Another one has this name."], isClosed: false });
  expect(await after(Promise.reject(new Error("it does not answer")), false)).toEqual({ told: ["bad: It does not answer."], isClosed: false });
});
