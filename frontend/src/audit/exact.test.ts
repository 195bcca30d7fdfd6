import { expect, test } from "vitest";
import { read, writeSorted } from "./exact";

test.each([
  ["digits that no number holds", '{"n":9007199254740993123,"m":1.10,"e":1E+2}', '{"e":1E+2,"m":1.10,"n":9007199254740993123}'],
  ["keys at every depth", '{"b":{"z":1,"a":[{"y":0,"x":0}]},"a":null}', '{"a":null,"b":{"a":[{"x":0,"y":0}],"z":1}}'],
  ["keys that look like numbers", '{"10":1,"9":2,"a":3}', '{"10":1,"9":2,"a":3}'],
  ["the order of bytes, not of UTF-16", '{"\u{1F600}":1,"\uFB01":2}', '{"\uFB01":2,"\u{1F600}":1}'],
  ["spaces", ' { "a" : [ true , false ] } ', '{"a":[true,false]}'],
  ["texts as serde_json writes them", '"\\u0041\\/\\u001F\\u00e9\\n\u2028"', '"A/\\u001f\u00e9\\n\u2028"'],
])("%s stay", (_, text, written) => expect(writeSorted(read(text))).toBe(written));

test.each(['{"a":1,"a":2}', "[1,]", "{}{}", '"\\ud800"', "01", "'a'", '{"a" 1}', "[".repeat(200), ""])("%s is refused", (text) => expect(() => read(text)).toThrow());
