// Every key that counts on this page, what one can do here before where one can go, and the switch that turns them off.
import { Dialog } from "../ui/dialog";
import { useKeyRegistry, type Key } from "../ui/keys";

const isEverywhere = ({ key }: Key) => key.startsWith("g ") || key === "?";

export function KeyList({ open, close }: { open: boolean; close: () => void }) {
  const registry = useKeyRegistry();
  // Of two that are alike the newest counts.
  const all = open ? [...new Map(registry.all().map((one) => [one.key, one])).values()] : [];
  return (
    <Dialog title="Keys of this page" open={open} close={close}>
      <Keys title="Here" keys={all.filter((one) => !isEverywhere(one))} />
      <Keys title="Everywhere" keys={all.filter(isEverywhere)} />
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

function Keys({ title, keys }: { title: string; keys: readonly Key[] }) {
  if (keys.length === 0) return null;
  return (
    <table className="keys">
      <thead>
        <tr>
          <th scope="col">{title}</th>
          <th scope="col">What it does</th>
        </tr>
      </thead>
      <tbody>
        {keys.map((one) => (
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
  );
}
