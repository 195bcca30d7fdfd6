// A dialog: focus goes in, stays, and comes back. The shade is our own: Radix's would write a <style>, which the pages' policy refuses.
import { Dialog as Radix } from "radix-ui";

export function Dialog({
  title,
  about,
  open,
  close,
  isHeld = false,
  children,
}: {
  title: string;
  about?: React.ReactNode;
  open: boolean;
  close: () => void;
  /** What it shows is shown once: only its own button closes it, and neither a click beside it nor Escape does. */
  isHeld?: boolean;
  children: React.ReactNode;
}) {
  const stay = (event: Event) => isHeld && event.preventDefault();
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && close()}>
      <Radix.Portal>
        <div className="shade" />
        <Radix.Content className="dialog" onInteractOutside={stay} onEscapeKeyDown={stay} {...(about ? {} : { "aria-describedby": undefined })}>
          <div>
            <Radix.Title asChild>
              <h2>{title}</h2>
            </Radix.Title>
            {about && (
              <Radix.Description asChild>
                <div className="muted">{about}</div>
              </Radix.Description>
            )}
          </div>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
