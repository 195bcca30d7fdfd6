// Any id, from any page: what is typed here is searched among the records.
import { useRef } from "react";
import { useNavigate } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { useKeys } from "../ui/keys";

export function Find() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const box = useRef<HTMLInputElement>(null);
  useKeys([{ key: "/", label: "Find a record by any id", act: () => box.current?.focus() }]);
  return (
    <form
      role="search"
      aria-label="Find a record"
      className="find"
      onSubmit={(event) => {
        event.preventDefault();
        const q = box.current?.value.trim();
        if (!q) return;
        if (box.current) box.current.value = "";
        void navigate({ to: "/t/$tenant/records", params: { tenant }, search: { q } });
      }}
    >
      <label className="hidden-label" htmlFor="find-anywhere">
        Find a record
      </label>
      <input id="find-anywhere" ref={box} type="search" placeholder="Find any id" autoComplete="off" spellCheck={false} onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()} />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}
