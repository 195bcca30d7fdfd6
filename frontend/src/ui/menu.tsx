// A menu on a button, beside it in the page so that it belongs to the same landmark. Not modal, so that Radix writes no <style> to lock scrolling: the pages' policy would refuse it.
import { DropdownMenu } from "radix-ui";

export interface Choice {
  label: string;
  note?: string;
  isChosen?: boolean;
  act: () => void;
}

export function Menu({ label, choices, className = "button quiet wide" }: { label: React.ReactNode; choices: Choice[]; className?: string }) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className={className}>
        {label}
        <span aria-hidden="true">▾</span>
      </DropdownMenu.Trigger>
        <DropdownMenu.Content className="menu" sideOffset={4} align="start" collisionPadding={8}>
          {choices.map((choice) => (
            <DropdownMenu.Item key={choice.label} onSelect={choice.act}>
              <span>
                {choice.isChosen ? "✓ " : ""}
                {choice.label}
              </span>
              {choice.note && <span className="muted">{choice.note}</span>}
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
    </DropdownMenu.Root>
  );
}
