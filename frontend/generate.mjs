// Makes the types of every query from api/schema.graphql: `src/<noun>/query.graphql` becomes `src/<noun>/query.generated.ts`, with nothing in
// it but what that noun asks for, so that a page's chunk carries its own queries only. A query that does not fit the schema fails here.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { codegen } from "@graphql-codegen/core";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildSchema, isListType, isObjectType, isWrappingType, parse, print, separateOperations } from "graphql";

const here = dirname(fileURLToPath(import.meta.url));
const schemaText = await readFile(join(here, "../api/schema.graphql"), "utf8");
const schema = parse(schemaText);
const schemaAst = buildSchema(schemaText);

const files = (await readdir(join(here, "src"), { recursive: true })).filter((name) => name.endsWith(".graphql"));
for (const name of files) {
  const source = join(here, "src", name);
  const document = parse(await readFile(source, "utf8"));
  const target = source.replace(/\.graphql$/, ".generated.ts");
  const types = await codegen({
    schema,
    schemaAst,
    documents: [{ location: source, document }],
    filename: target,
    config: {},
    pluginMap: { operations },
    plugins: [
      {
        operations: {
          scalars: { ID: "string", DateTime: "string", JSON: "unknown" },
          enumType: "string-literal",
          skipTypename: true,
          maybeValue: "T | null",
          inputMaybeValue: "T | null | undefined",
          arrayInputCoercion: false,
        },
      },
    ],
  });
  const documents = Object.entries(separateOperations(document)).map(([operation, one]) => {
    const kind = one.definitions.find((definition) => definition.kind === "OperationDefinition").operation;
    const base = operation + kind[0].toUpperCase() + kind.slice(1);
    return `export const ${operation}Document = ${JSON.stringify(print(one))} as Query<${base}, ${base}Variables>;`;
  });
  const head = '// Made by `npm run generate` of the .graphql file beside it. Do not edit.\nimport type { Query } from "../api/client";\n\n';
  await writeFile(target, `${head}${types}\n${documents.join("\n")}\n`);
}

// The fields of the canonical model, by kind and as a mapping names them, for completion: the types of `RecordContent`, whose names the API writes in
// its own way.
const snake = (name) => name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
const paths = (type, path, depth) =>
  Object.values(type.getFields()).flatMap((field) => {
    let [of, name] = [field.type, path + snake(field.name)];
    while (isWrappingType(of)) {
      if (isListType(of)) name += "[]";
      of = of.ofType;
    }
    return [name, ...(isObjectType(of) && depth < 5 ? paths(of, `${name}.`, depth + 1) : [])];
  });
const kinds = schemaAst.getType("RecordContent").getTypes().map((type) => [snake(type.name), paths(type, "", 0)]);
await writeFile(
  join(here, "src/mappings/canonical.generated.ts"),
  `// Made by \`npm run generate\` of api/schema.graphql. Do not edit.\nexport const CANONICAL: Record<string, readonly string[]> = ${JSON.stringify(Object.fromEntries(kinds))};\n`,
);

// The functions of expressions, of the table that people read: docs/mapping.md.
const guide = await readFile(join(here, "../docs/mapping.md"), "utf8");
const functions = guide
  .slice(guide.indexOf("### Functions"), guide.indexOf("## What a mapping says about itself"))
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .flatMap((line) => {
    const [, calls, about] = line.split("|").map((cell) => cell.trim());
    return [...calls.matchAll(/`([a-z_]+\([^`]*\))`/g)].map(([, call]) => ({ name: call.slice(0, call.indexOf("(")), call, about: about.replaceAll("`", "") }));
  });
if (functions.length < 40) throw new Error("docs/mapping.md has no table of functions any more");
await writeFile(
  join(here, "src/mappings/functions.generated.ts"),
  `// Made by \`npm run generate\` of docs/mapping.md. Do not edit.\nexport const FUNCTIONS: readonly { name: string; call: string; about: string }[] = ${JSON.stringify(functions)};\n`,
);

// What the audit log is searched by: the acts, and the kinds of things that they are done to, as the platform has them.
const rust = (name) => readFile(join(here, "../domain/src", name), "utf8");
const acts = [...(await rust("audit.rs")).matchAll(/=> "([a-z_]+\.[a-z_]+)"/g)].map(([, act]) => act).sort();
const nouns = [...(await rust("id.rs")).matchAll(/^ +\w+ = "[a-z]{3}", "([a-z ]+)";/gm)].map(([, noun]) => noun.replaceAll(" ", "_")).sort();
if (acts.length < 100 || nouns.length < 20) throw new Error("domain/src has no list of acts or of kinds any more");
await writeFile(
  join(here, "src/audit/words.generated.ts"),
  `// Made by \`npm run generate\` of domain/src. Do not edit.\nexport const ACTIONS: readonly string[] = ${JSON.stringify(acts)};\nexport const KINDS: readonly string[] = ${JSON.stringify(nouns)};\n`,
);
console.log(`${files.length} query files`);
