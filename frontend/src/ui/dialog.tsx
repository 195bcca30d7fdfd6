// A dialog: focus goes in, stays, and comes back. The shade is our own: Radix's would write a <style>, which the pages' policy refuses.
import { Dialog as Radix } from "radix-ui";

export function Dialog({
  title,
  about,
  open,
  close,
  children,
}: {
  title: string;
  about?: React.ReactNode;
  open: boolean;
  close: () => void;
  children: React.ReactNode;
}) {
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && close()}>
      <Radix.Portal>
        <div className="shade" />
        <Radix.Content className="dialog" {...(about ? {} : { "aria-describedby": undefined })}>
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
