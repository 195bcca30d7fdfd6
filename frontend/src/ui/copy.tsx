// A text that goes into another program: shown whole, and copied by one press. Where the browser lets no page write to its clipboard (plain http), it is
// chosen instead, so that Ctrl+C takes it.
import { useRef, useState } from "react";

export function Copy({ text, label }: { text: string; label: string }) {
  const shown = useRef<HTMLElement>(null);
  const { said, copy } = useCopy(text, () => {
    if (shown.current) window.getSelection()?.selectAllChildren(shown.current);
    return "The text is chosen: press Ctrl+C.";
  });
  return (
    <div className="copy">
      <code ref={shown} className="document" aria-label={label} role="textbox" aria-readonly="true" tabIndex={0}>
        {text}
      </code>
      {/* Several may stand on one page. */}
      <button type="button" className="button" onClick={copy}>
        <span>
          Copy <span className="hidden-label">{label.charAt(0).toLowerCase() + label.slice(1)}</span>
        </span>
      </button>
      <span role="status" className="muted small">
        {said}
      </span>
    </div>
  );
}

/** The same of a text that is shown elsewhere, or is too long to be shown beside it. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const { said, copy } = useCopy(text, () => "Choose the text itself, and press Ctrl+C.");
  return (
    <>
      <button type="button" className="button" onClick={copy}>
        {label}
      </button>
      <span role="status" className="muted small">
        {said}
      </span>
    </>
  );
}

/** Copies, and what is said of it; `otherwise` does what can be done where a page may not, and says what is left to do. */
function useCopy(text: string, otherwise: () => string): { said: string; copy: () => void } {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied.");
    } catch {
      setSaid(`This browser lets no page copy here. ${otherwise()}`);
    }
  };
  return { said, copy: () => void copy() };
}
