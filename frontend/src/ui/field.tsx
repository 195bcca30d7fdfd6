// One input with its label, its help, and what is wrong with it, all tied together for those who do not see them stand beside each other.
import { useId } from "react";

interface FieldProps {
  label: string;
  help?: string | null | undefined;
  wrong?: string | null | undefined;
  children: (props: { id: string; "aria-describedby": string | undefined; "aria-invalid": boolean }) => React.ReactNode;
}

export function Field({ label, help, wrong, children }: FieldProps) {
  const id = useId();
  const described = [help && `${id}-help`, wrong && `${id}-wrong`].filter(Boolean).join(" ") || undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {help && (
        <span className="help" id={`${id}-help`}>
          {help}
        </span>
      )}
      {children({ id, "aria-describedby": described, "aria-invalid": Boolean(wrong) })}
      {wrong && (
        <span className="wrong" id={`${id}-wrong`} role="alert">
          {wrong}
        </span>
      )}
    </div>
  );
}
