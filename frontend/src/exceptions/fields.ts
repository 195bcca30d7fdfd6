// The fields of a document with their values as they are written there: a number keeps its digits, because it never becomes one.
import { Digits, parse } from "../api/digits";

export interface DocumentField {
  /** lines[2].sku */
  path: string;
  value: string;
  isText: boolean;
}

const FIELDS_MAX = 5_000;

export function fieldsOf(document: string): DocumentField[] {
  const fields: DocumentField[] = [];
  let tree: unknown;
  try {
    tree = parse(document);
  } catch {
    return [];
  }
  const walk = (value: unknown, path: string) => {
    if (fields.length >= FIELDS_MAX) return;
    if (Array.isArray(value)) value.forEach((one, index) => walk(one, `${path}[${index}]`));
    else if (value instanceof Digits) fields.push({ path, value: value.text, isText: false });
    else if (value !== null && typeof value === "object") {
      for (const [key, one] of Object.entries(value)) walk(one, path ? `${path}.${key}` : key);
    } else if (typeof value === "string") fields.push({ path, value, isText: true });
    else fields.push({ path, value: String(value), isText: false });
  };
  walk(tree, "");
  return fields;
}

/** As the API takes a value: JSON, so that 10.50 keeps its digits. */
export function toJson(field: DocumentField): string {
  return field.isText ? JSON.stringify(field.value) : field.value.trim() || "null";
}
