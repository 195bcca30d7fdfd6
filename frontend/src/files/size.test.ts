import { expect, test } from "vitest";
import { sizeOf } from "./size";

test("a size is said as people say it", () => expect([0, 999, 1_234, 12_300_000].map(sizeOf)).toEqual(["0 B", "999 B", "1.2 KB", "12.3 MB"]));
