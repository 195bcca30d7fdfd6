// Drift: a field that no order had until now is said, with who reads it, and is right from then on.
import { heading, until } from "./journeys.mjs";
import { inBothThemes, visit } from "./page.mjs";
import { send } from "./shop.mjs";

export const drifts = {
  async a_field_that_no_order_had_is_said_and_taken_as_right({ page, stack }) {
    await send(stack.hookUrl, 6_300, (order) => {
      order.delivery_window = { from: "08:00", until: "12:00" };
    });
    await until("the notice", async () => {
      await visit(page, `${stack.url}/t/acme/drifts`);
      await heading(page, "Drift");
      return page.getByText("delivery_window").first().isVisible();
    }, 60_000);
    await inBothThemes(page, "drifts");
    const notice = page.getByRole("article").filter({ hasText: "delivery_window" }).first();
    await notice.getByRole("button", { name: "What is done about it" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("When it drifts").selectOption("It is said, and what shows it waits for a person");
    await dialog.getByRole("button", { name: "Keep it" }).click();
    await page.getByText("It is done so from now on.").waitFor();
    await notice.getByRole("button", { name: "Accept it" }).click();
    await page.getByText(/^It is normal from now on/).waitFor();
  },
};
