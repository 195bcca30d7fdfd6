// Every key that counts on this page, and the switch that turns them off.
import { Dialog } from "../ui/dialog";
import { useKeyRegistry } from "../ui/keys";

export function KeyList({ open, close }: { open: boolean; close: () => void }) {
  const registry = useKeyRegistry();
  return (
    <Dialog title="Keys of this page" open={open} close={close}>
      <table>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">What it does</th>
          </tr>
        </thead>
        <tbody>
          {open &&
            // Of two that are alike the newest counts.
            [...new Map(registry.all().map((one) => [one.key, one])).values()].map((one) => (
              <tr key={one.key}>
                <td>
                  {one.key.split(" ").map((part, index) => (
                    <span key={part}>
                      {index > 0 && " then "}
                      <kbd>{part}</kbd>
                    </span>
                  ))}
                </td>
                <td>{one.label}</td>
              </tr>
            ))}
        </tbody>
      </table>
      <label className="row">
        <input type="checkbox" checked={registry.isOn} onChange={(event) => registry.setOn(event.target.checked)} />
        Single keys do something
      </label>
      <div className="row">
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
