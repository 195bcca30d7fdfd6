// Dark or light: a matter of the device, and kept there.
import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();

export function useTheme(): ["dark" | "light", () => void] {
  const theme = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => (document.documentElement.dataset["theme"] === "dark" ? "dark" : "light"),
  );
  return [theme, () => setTheme(theme === "dark" ? "light" : "dark")];
}

function setTheme(theme: "dark" | "light") {
  document.documentElement.dataset["theme"] = theme;
  localStorage.setItem("theme", theme);
  for (const listener of listeners) listener();
}
