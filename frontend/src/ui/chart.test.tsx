import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { Chart } from "./chart";

const PIECES = [
  { name: "10:00", title: "10:00 to 10:05" },
  { name: "10:05", title: "10:05 to 10:10" },
];
const drawn = (over: object = {}) =>
  renderToStaticMarkup(<Chart label="Messages a minute" pieces={PIECES} series={[{ name: "accepted", as: "bar", tone: "quiet", values: [3, null] }]} word={(value) => `${value} of them`} {...over} />);

test("whoever does not see a chart has its values in a table, and by arrow keys", () => {
  expect(drawn()).toContain('<tr><th scope="row">10:00 to 10:05</th><td>3 of them</td></tr><tr><th scope="row">10:05 to 10:10</th><td>none</td></tr>');
  expect(drawn()).toContain('role="slider" tabindex="0" aria-label="Messages a minute" aria-valuemin="1" aria-valuemax="2" aria-valuenow="2" aria-valuetext="10:05 to 10:10: none accepted"');
});

test("where the page has the values in a table, they are not there twice", () => {
  expect(drawn({ isInTable: true })).not.toContain("<table");
});

test("texts stay texts, and nothing would need the pages’ policy to be weaker", () => {
  const text = drawn({ label: "<script>1</script>", pieces: PIECES.map((piece) => ({ ...piece, title: '<img src="x">' })) });
  expect(text).toContain("&lt;script&gt;1&lt;/script&gt;");
  expect(text).not.toMatch(/<script|<img|<style|\sstyle=/);
});

test("before anything was counted there is a chart with nothing in it", () => {
  expect(drawn({ pieces: [], series: [] })).toContain('aria-valuetext="Nothing yet"');
});
