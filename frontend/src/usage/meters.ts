// What is counted, in the words that every page uses for it.
import type { UsageQuery } from "./query.generated";

export type Meter = UsageQuery["month"][number]["meter"];

/** In the order in which they are shown. */
export const METERS: Record<Meter, string> = {
  MESSAGE_ACCEPTED: "Messages accepted",
  DELIVERY_CONFIRMED: "Deliveries confirmed",
  VENDOR_CALL: "Calls to vendors",
};
