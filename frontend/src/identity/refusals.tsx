// What the API refused about no field that is shown, with what to do next and where.
import { Link } from "@tanstack/react-router";
import type { UserError } from "../api/client";
import { useTenant } from "../api/hooks";
import { sentence } from "../ui/state";
import { adviceOn, plain } from "./words";

export function Refusals({ errors, fields = [] }: { errors: readonly UserError[]; fields?: readonly string[] }) {
  const tenant = useTenant();
  return errors
    .filter((one) => !fields.includes(one.field.at(-1) ?? ""))
    .map((one) => {
      const advice = adviceOn(one.message);
      return (
        <div key={one.message} className="note bad" role="alert">
          <p>
            <strong>{sentence(plain(one.message))}</strong>
          </p>
          {advice && (
            <p>
              {advice.text}{" "}
              {advice.at === "account" && (
                <Link to="/t/$tenant/settings/account" params={{ tenant }}>
                  Go to your account
                </Link>
              )}
              {advice.at === "directory" && (
                <Link to="/t/$tenant/settings/directory" params={{ tenant }}>
                  Go to the directory
                </Link>
              )}
            </p>
          )}
        </div>
      );
    });
}
