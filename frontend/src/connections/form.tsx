// The form that a connector's own files describe: its settings and its secrets. Secrets are only ever written.
import { wrongWith } from "../api/hooks";
import type { UserError } from "../api/client";
import { Field } from "../ui/field";
import { sentence } from "../ui/state";

export interface FormField {
  name: string;
  title: string;
  help?: string | null;
  example?: string | null;
  required: boolean;
}

interface FieldsProps {
  fields: readonly FormField[];
  prefix: "settings" | "credential";
  errors: readonly UserError[];
  values?: Record<string, unknown>;
}

export function Fields({ fields, prefix, errors, values = {} }: FieldsProps) {
  return fields.map((field) => {
    const wrong = wrongWith(
      errors.filter((one) => one.field[0] === prefix || one.field.includes(prefix) || one.field.length === 1),
      field.name,
    );
    return (
      <Field
        key={field.name}
        label={field.required ? field.title : `${field.title} (may stay empty)`}
        help={[field.help, field.example && `For example ${field.example}`].filter(Boolean).join(" ") || null}
        wrong={wrong ? sentence(wrong) : null}
      >
        {(props) => (
          <input
            {...props}
            name={`${prefix}.${field.name}`}
            type={prefix === "credential" ? "password" : "text"}
            autoComplete="off"
            spellCheck={false}
            required={field.required}
            defaultValue={prefix === "settings" ? String(values[field.name] ?? "") : ""}
          />
        )}
      </Field>
    );
  });
}

/** What was filled in; what stayed empty is left out. */
export function filled(form: FormData, prefix: "settings" | "credential", fields: readonly FormField[]): Record<string, string> {
  const values = fields.map((field) => [field.name, String(form.get(`${prefix}.${field.name}`) ?? "").trim()] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== ""));
}

/** Errors that stand beside no field of the form. */
export function others(errors: readonly UserError[], fields: readonly FormField[]): UserError[] {
  const names = new Set(["name", ...fields.map((field) => field.name)]);
  return errors.filter((one) => !names.has(one.field.at(-1) ?? ""));
}
