// An input that offers what could stand at the cursor. The list opens while one types, or by the arrow down; nothing is taken that was not chosen.
import { useId, useRef, useState } from "react";
import { flushSync } from "react-dom";
import type { Offer } from "./complete";

interface SuggestProps {
  label: string;
  value: string;
  change: (text: string) => void;
  offer: (text: string, cursor: number) => Offer;
  isWrong?: boolean;
  describedBy?: string | undefined;
  /** By which the table finds the cell again. */
  cell?: string;
  placeholder?: string;
}

const NONE: Offer = { from: 0, to: 0, choices: [] };

export function Suggest({ label, value, change, offer, isWrong = false, describedBy, cell, placeholder }: SuggestProps) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [offered, setOffered] = useState<Offer>(NONE);
  const [active, setActive] = useState(-1);
  const { choices } = offered;
  const isOpen = choices.length > 0;
  const close = () => {
    setOffered(NONE);
    setActive(-1);
  };
  const look = (text: string, cursor: number) => {
    setOffered(offer(text, cursor));
    setActive(-1);
  };
  const take = (index: number) => {
    const choice = choices[index];
    if (!choice) return;
    const next = value.slice(0, offered.from) + choice.insert + value.slice(offered.to);
    const cursor = offered.from + choice.insert.length;
    // At once: what is typed next must find the cursor behind it.
    flushSync(() => {
      change(next);
      close();
    });
    input.current?.setSelectionRange(cursor, cursor);
  };
  const press = (event: React.KeyboardEvent) => {
    const cursor = input.current?.selectionStart ?? value.length;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) look(value, cursor);
      else setActive((now) => (now + (event.key === "ArrowDown" ? 1 : choices.length)) % choices.length);
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      close();
    } else if ((event.key === "Enter" || event.key === "Tab") && isOpen && active >= 0) {
      event.preventDefault();
      take(active);
    }
  };
  const box = isOpen ? input.current?.getBoundingClientRect() : undefined;
  return (
    <>
      <input
        ref={input}
        className="mono"
        role="combobox"
        aria-label={label}
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        aria-activedescendant={active >= 0 ? `${id}-${active}` : undefined}
        aria-autocomplete="list"
        aria-invalid={isWrong}
        aria-describedby={describedBy}
        data-cell={cell}
        placeholder={placeholder}
        autoComplete="off"
        spellCheck={false}
        value={value}
        onChange={(event) => {
          change(event.target.value);
          look(event.target.value, event.target.selectionStart ?? event.target.value.length);
        }}
        onKeyDown={press}
        onBlur={close}
      />
      {isOpen && box && (
        <ul id={id} role="listbox" aria-label={`What could stand there: ${label}`} className="offers" style={{ left: box.left, top: box.bottom + 2, minWidth: box.width }}>
          {choices.map((choice, index) => (
            <li
              key={choice.text}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === active}
              // Before the blur that would take the list away.
              onMouseDown={(event) => {
                event.preventDefault();
                take(index);
              }}
            >
              <code>{choice.text}</code>
              {choice.note && <span className="muted small">{choice.note}</span>}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
