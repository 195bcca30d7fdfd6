// What usually arrives and what arrives now: silence first, because that is what somebody looks here for. One that is meant to be silent is muted.
import { useTenant } from "../api/hooks";
import { Link } from "@tanstack/react-router";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Menu } from "../ui/menu";
import { useToldAct } from "../ui/act-button";
import { Time } from "../ui/time";
import { useUndo } from "../ui/undo";
import { ArrivalMuteDocument, ArrivalForgetDocument } from "./query.generated";
import { bySilence, restSaid, type Series } from "./series";

const SHOWN_MAX = 10;
const HOUR_MS = 60 * 60 * 1000;

function nameOf(one: Series): string {
  const of = one.flow ? `what passes “${one.flow.name}”` : (one.topic ?? `all ${one.recordKind.replaceAll("_", " ")}s`);
  return `${one.connection?.name ?? "A connection"}: ${of}`;
}

export function Arrivals({ series, hasMore }: { series: readonly Series[]; hasMore: boolean }) {
  const tenant = useTenant();
  const ordered = bySilence(series);
  const rest = restSaid(ordered.slice(SHOWN_MAX));
  return (
    <section className="panel" aria-label="What arrives">
      <h2>What arrives</h2>
      {ordered.length === 0 && (
        <p className="muted">
          Arrivals are counted every five minutes; nothing was counted yet. Once what is usual is known, silence is said here and told to whom <Link to="/t/$tenant/alerts" params={{ tenant }}>Alerts</Link> name.
        </p>
      )}
      <ul className="stack tight">
        {ordered.slice(0, SHOWN_MAX).map((one) => (
          <li key={one.id} className="row apart nowrap-row">
            <span className="break">
              {nameOf(one)}
              <br />
              <span className="muted small">
                {one.seen.toLocaleString()} in the last hour
                {one.band && `, usually ${Math.round(one.band.low).toLocaleString()} to ${Math.round(one.band.high).toLocaleString()}`}
                {one.lastAt && (
                  <>
                    ; last <Time at={one.lastAt} as="ago" />
                  </>
                )}
                {one.mutedUntil && (
                  <>
                    ; no alarm before <Time at={one.mutedUntil} />
                  </>
                )}
              </span>
            </span>
            <span className="row nowrap-row">
              <Badge state={one.state} />
              <Acts one={one} />
            </span>
          </li>
        ))}
      </ul>
      {rest && <p className="muted small">{rest}</p>}
      {hasMore && (
        <p className="muted small">
          These are the newest {series.length.toLocaleString()}. Of older ones nothing is said here: what is silent or surges among them is one of the{" "}
          <Link to="/t/$tenant/incidents" params={{ tenant }}>
            incidents
          </Link>
          , too.
        </p>
      )}
    </section>
  );
}

function Acts({ one }: { one: Series }) {
  const may = useMay();
  const undo = useUndo();
  const mute = useToldAct(
    ArrivalMuteDocument,
    (result) => result.arrivalSeriesMute,
    (_, { until }) => ({
      text: until ? "No alarm is raised of it until then." : "Alarms are raised again.",
      undo: undo(ArrivalMuteDocument, { id: one.id, until: one.mutedUntil ?? null }, (result) => result.arrivalSeriesMute, "Alarms of it are as they were."),
    }),
  );
  const forget = useToldAct(
    ArrivalForgetDocument,
    (result) => result.arrivalSeriesForget,
    () => "What is usual is learned anew, for two weeks.",
  );
  if (!may("work")) return null;
  const until = (hours: number | null) => mute.run({ id: one.id, until: hours === null ? null : new Date(Date.now() + hours * HOUR_MS).toISOString() });
  return (
    <Menu
      label={<span className="hidden-label">Alarms of {nameOf(one)}</span>}
      className="button quiet"
      choices={[
        ...(one.mutedUntil ? [{ label: "Raise alarms again", act: () => until(null) }] : []),
        { label: "No alarm for four hours", act: () => until(4) },
        { label: "No alarm for a day", act: () => until(24) },
        { label: "No alarm for a week", act: () => until(168) },
        { label: "It is another now: learn anew", act: () => forget.run({ id: one.id }) },
      ]}
    />
  );
}
