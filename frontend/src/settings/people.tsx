// The people of the tenant, what each may do, and who is invited. Only an owner makes, changes or removes an owner; the server decides in any case.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { isAwaited, useAsk, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { ROLES, useMay } from "../app/role";
import { useViewer } from "../app/tenants";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Copy } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { toldApart } from "../ui/person";
import { useShownOnce } from "../ui/shown-once";
import { Empty, Loading, Problem, sentence } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { useUndo } from "../ui/undo";
import { NotMailed } from "./not-mailed";
import {
  InvitationCreateDocument,
  InvitationsDocument,
  InvitationWithdrawDocument,
  MemberRemoveDocument,
  MemberRoleSetDocument,
  MembersDocument,
  SignInPolicyDocument,
  SignInPolicySetDocument,
  type InvitationsQuery,
  type MembersQuery,
} from "./query.generated";

type Member = MembersQuery["members"][number];
type Invitation = InvitationsQuery["invitations"][number];
type Role = keyof typeof ROLES;

export function People() {
  return (
    <Permitted to="read" otherwise="Your role does not see who is here" advice="It sees what is billed, and your own account. Ask an owner or admin for another role.">
      <Members />
    </Permitted>
  );
}

function Members() {
  const may = useMay();
  const asked = useAsk(MembersDocument, {}, { everyMs: 30_000 });
  // What stands below is asked for at once and waited for: each that came by itself would push away what is below it.
  const isWanted = may("members");
  const below = [useAsk(InvitationsDocument, {}, { isWanted }), useAsk(SignInPolicyDocument, {}, { isWanted })];
  const me = useViewer().data?.viewer?.id;
  const [dialog, setDialog] = useState<{ act: "role" | "remove"; member: Member } | "invite" | null>(null);
  const [link, setLink] = useShownOnce<HandedLink>("An invitation was made and its link could not be shown, because its page was left: withdraw it under People and invite again.");
  const close = () => setDialog(null);
  const isMine = (member: Member) => may("members") && (member.role !== "owner" || may("owners"));
  const columns: Column<Member>[] = [
    {
      header: "Person",
      accessorFn: (member) => member.name || member.email,
      cell: ({ row: { original: member } }) => (
        <span className="break">
          {member.name || member.email} {member.userId === me && <Badge>you</Badge>}
          {member.name && (
            <>
              <br />
              <span className="muted small">{member.email}</span>
            </>
          )}
        </span>
      ),
    },
    {
      header: "Role",
      accessorKey: "role",
      cell: ({ row: { original: member } }) => (
        <>
          {member.role}
          <br />
          <span className="muted small">{ROLES[member.role.toUpperCase() as Role]}</span>
        </>
      ),
    },
    ...(may("members")
      ? [
          {
            id: "acts",
            header: () => <span className="hidden-label">Acts</span>,
            enableSorting: false,
            cell: ({ row: { original: member } }: { row: { original: Member } }) =>
              isMine(member) ? (
                <span className="row">
                  <button type="button" className="button quiet" aria-label={`Change the role of ${member.name || member.email}`} onClick={() => setDialog({ act: "role", member })}>
                    Change the role
                  </button>
                  <button type="button" className="button quiet" aria-label={`Remove ${member.name || member.email}`} onClick={() => setDialog({ act: "remove", member })}>
                    Remove
                  </button>
                </span>
              ) : (
                <span className="muted small">Only an owner changes an owner.</span>
              ),
          } satisfies Column<Member>,
        ]
      : []),
  ];
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data || below.some(isAwaited)) return <Loading what="the people" />;
  return (
    <>
      <section className="panel flush">
        <div className="row apart">
          <h2>Members</h2>
          {may("members") && (
            <button type="button" className="button main-act" onClick={() => setDialog("invite")}>
              Invite somebody
            </button>
          )}
        </div>
        <Table label="Members" columns={columns} rows={[...asked.data.members]} idOf={(member) => member.userId} />
      </section>
      {may("members") ? (
        <>
          <Invitations members={asked.data.members} />
          <SignInPolicy />
        </>
      ) : (
        <p className="muted">Owners and admins invite people and give roles.</p>
      )}
      {dialog === "invite" && <Invite close={close} show={setLink} />}
      {link && <HandOn link={link} close={() => setLink(null)} />}
      {dialog !== null && dialog !== "invite" && dialog.act === "role" && <RoleDialog member={dialog.member} isMe={dialog.member.userId === me} close={close} />}
      {dialog !== null && dialog !== "invite" && dialog.act === "remove" && <Remove member={dialog.member} isMe={dialog.member.userId === me} close={close} />}
    </>
  );
}

/** The roles that this person may give. */
function RoleField({ chosen, wrong }: { chosen: Role; wrong: string | null }) {
  const may = useMay();
  return (
    <Field label="Role" wrong={wrong}>
      {(props) => (
        <select {...props} name="role" defaultValue={chosen} style={{ maxWidth: "100%" }}>
          {Object.entries(ROLES)
            .filter(([role]) => role !== "OWNER" || may("owners"))
            .map(([role, about]) => (
              <option key={role} value={role}>
                {role.toLowerCase()}: {about}
              </option>
            ))}
        </select>
      )}
    </Field>
  );
}

/** One's own place may be another now, and with it every page. */
function useViewerAgain() {
  const client = useQueryClient();
  return () => void client.invalidateQueries({ queryKey: ["viewer"] });
}

function RoleDialog({ member, isMe, close }: { member: Member; isMe: boolean; close: () => void }) {
  const again = useViewerAgain();
  const undo = useUndo();
  const who = member.name || member.email;
  const before = member.role.toUpperCase() as Role;
  // One's own role is given back by somebody else only.
  const back = isMe ? undefined : undo(MemberRoleSetDocument, { userId: member.userId, role: before }, (result) => result.memberRoleSet, `${who} is ${member.role} again.`);
  const act = useFormAct(
    MemberRoleSetDocument,
    (result) => result.memberRoleSet,
    () => {
      again();
      return `${who} has the new role from the next request on.`;
    },
    close,
    back,
  );
  return (
    <FormDialog
      title={`The role of ${who}`}
      about={isMe ? "This is you. What the new role does not include is gone from the next request on, and somebody else has to give it back." : "It counts from their next request on, and stands in the audit log."}
      label="Give the role"
      act={act}
      fields={["role"]}
      close={close}
      submit={(form) => act.run({ userId: member.userId, role: String(form.get("role")) as Role })}
    >
      <RoleField chosen={before} wrong={act.wrong("role")} />
    </FormDialog>
  );
}

function Remove({ member, isMe, close }: { member: Member; isMe: boolean; close: () => void }) {
  const again = useViewerAgain();
  const who = member.name || member.email;
  const act = useFormAct(
    MemberRemoveDocument,
    (result) => result.memberRemove,
    () => {
      again();
      return `${who} is no member any more.`;
    },
    close,
  );
  return (
    <FormDialog
      title={isMe ? "Leave the tenant" : `Remove ${who}`}
      about={
        <>
          <p>
            {isMe ? "You lose" : "They lose"} everything here from the next request on. To come back takes a new invitation. What {isMe ? "you" : "they"} made stays.
          </p>
          <p>API keys that {isMe ? "you" : "they"} made or have seen stay good: rotate them under API keys.</p>
        </>
      }
      label={isMe ? "Leave" : "Remove"}
      act={act}
      close={close}
      submit={() => act.run({ userId: member.userId })}
    />
  );
}

interface HandedLink {
  email: string;
  address: string;
}

function HandOn({ link, close }: { link: HandedLink; close: () => void }) {
  return (
    <Dialog title="Hand this link on" about={`This installation sends no mail. Give the link to ${link.email} by a way that only they read: whoever has it can take the place. It is shown this once, and works once, for seven days.`} isHeld open close={close}>
      <Copy text={link.address} label="The link of the invitation" />
      <div>
        <button type="button" className="button main-act" onClick={close}>
          I have it
        </button>
      </div>
    </Dialog>
  );
}

function Invite({ close, show }: { close: () => void; show: (link: HandedLink) => void }) {
  const act = useFormAct(
    InvitationCreateDocument,
    (result) => result.invitationCreate,
    ({ invitationCreate: { invitation, link } }) => {
      if (!link) return `An invitation goes to ${invitation?.email} by mail.`;
      show({ email: invitation?.email ?? "", address: link });
      return null;
    },
    close,
  );
  return (
    <FormDialog
      title="Invite somebody"
      about="They get a link that works once, for seven days. Who has no account chooses a password there."
      label="Invite"
      act={act}
      fields={["email", "role"]}
      close={close}
      submit={(form) => act.run({ email: String(form.get("email")).trim(), role: String(form.get("role")) as Role })}
    >
      <Field label="E-mail" wrong={act.wrong("email")}>
        {(props) => <input {...props} name="email" type="email" required autoFocus autoComplete="off" />}
      </Field>
      <RoleField chosen="OPERATOR" wrong={act.wrong("role")} />
    </FormDialog>
  );
}

function Invitations({ members }: { members: readonly Member[] }) {
  const may = useMay();
  const asked = useAsk(InvitationsDocument, {}, { everyMs: 30_000 });
  const [hasAll, setAll] = useState(false);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="invitations" />;
  const all = asked.data.invitations;
  const rows = all.filter((one) => hasAll || isOpen(one));
  const columns: Column<Invitation>[] = [
    { header: "Address", accessorKey: "email", cell: ({ row }) => <span className="break">{row.original.email}</span> },
    { header: "Role", accessorFn: (one) => one.role.toLowerCase() },
    { header: "Invited by", accessorFn: (one) => nameOf(members, one.invitedBy) },
    {
      header: "How it stands",
      accessorFn: stateOf,
      cell: ({ row: { original: one } }) => {
        const state = stateOf(one);
        return (
          <>
            <Badge tone={state === "waits" ? "warn" : state === "taken" ? "good" : state === "refused" ? "bad" : "info"}>{state}</Badge>{" "}
            {state === "refused" ? (
              <span className="small">{sentence(one.refusal ?? "")}</span>
            ) : (
              <span className="small muted nowrap">
                {state === "waits" ? "until " : ""}
                <Time at={one.acceptedAt ?? one.withdrawnAt ?? one.expiresAt} />
              </span>
            )}
            {state === "waits" && one.mailFailure && <NotMailed failure={one.mailFailure} next="It is not tried again: withdraw it, correct the address, and invite anew." />}
          </>
        );
      },
    },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: one } }) =>
        isOpen(one) &&
        (one.role !== "OWNER" || may("owners")) && (
          <ActButton document={InvitationWithdrawDocument} values={{ id: one.id }} payloadOf={(act) => act.invitationWithdraw} label="Withdraw" name={`Withdraw the invitation of ${one.email}`} done={`The invitation of ${one.email} is worth nothing any more.`} />
        ),
    },
  ];
  return (
    <section className="panel flush">
      <div className="row apart">
        <h2>Invitations</h2>
        {all.length > 0 && (
          <label className="row">
            <input type="checkbox" checked={hasAll} onChange={(event) => setAll(event.target.checked)} />
            Also those that are over
          </label>
        )}
      </div>
      {rows.length === 0 ? (
        <Empty title="Nobody is invited now">
          <p>An invitation offers a place with a role to one address. It waits here until it is taken, withdrawn, or seven days old.</p>
        </Empty>
      ) : (
        <Table label="Invitations" columns={columns} rows={rows} idOf={(one) => one.id} />
      )}
    </section>
  );
}

/** Whether a password alone is enough here. */
function SignInPolicy() {
  const asked = useAsk(SignInPolicyDocument, {}, { everyMs: 30_000 });
  const [isAsking, setAsking] = useState(false);
  const policy = asked.data?.signInPolicy;
  const isOn = Boolean(policy?.secondFactorDemandedAt);
  if (asked.error && !policy) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!policy) return <Loading what="what is demanded" />;
  const without = policy.without.map(toldApart);
  return (
    <section className="panel stack tight" aria-label="Second factor of everybody">
      <div className="row">
        <h2>Second factor of everybody</h2> {isOn ? <Badge tone="good">demanded</Badge> : <Badge tone="warn">left to each</Badge>}
      </div>
      <p className="muted">
        {isOn ? (
          <>
            Since <Time at={policy.secondFactorDemandedAt!} /> who signs in by password and has no second factor reaches nothing here until they have set one up.
          </>
        ) : (
          "A password that somebody learns opens this tenant, unless its owner has set up a second factor. You can demand one of everybody."
        )}{" "}
        Whom your identity provider signs in is asked for what it asks for. API keys are no people.
      </p>
      {without.length > 0 && (
        <p className="break">
          {isOn ? "Kept out until they have one: " : "Without one now: "}
          {without.join(", ")}
        </p>
      )}
      <div>
        <button type="button" className="button" onClick={() => setAsking(true)}>
          {isOn ? "Leave it to each" : "Demand it of everybody"}
        </button>
      </div>
      {isAsking && <Demand isOn={isOn} close={() => setAsking(false)} />}
    </section>
  );
}

/** Of its own, so that what became of it is told where it is closed meanwhile. */
function Demand({ isOn, close }: { isOn: boolean; close: () => void }) {
  const tenant = useTenant();
  const act = useFormAct(
    SignInPolicySetDocument,
    (result) => result.signInPolicySet,
    () => (isOn ? "A password alone is enough again." : "From the next request on nobody gets in here by a password alone."),
    close,
  );
  return (
    <FormDialog
      title={isOn ? "Leave the second factor to each" : "Demand a second factor of everybody"}
      about={
        isOn ? (
          "A password alone opens the tenant again, for whoever has no second factor."
        ) : (
          <>
            <p>It counts from everybody’s next request on, in sessions too that are open. Who has none is told so, and can set one up at once.</p>
            <p>
              You need one yourself first: <Link to="/t/$tenant/settings/account" params={{ tenant }}>your account</Link>.
            </p>
          </>
        )
      }
      label={isOn ? "Leave it to each" : "Demand it"}
      act={act}
      close={close}
      submit={() => act.run({ secondFactor: !isOn })}
    />
  );
}

function stateOf(one: Invitation): "taken" | "withdrawn" | "expired" | "refused" | "waits" {
  if (one.acceptedAt) return "taken";
  if (one.withdrawnAt) return "withdrawn";
  if (Date.parse(one.expiresAt) <= Date.now()) return "expired";
  return one.refusal ? "refused" : "waits";
}

/** Somebody has to do something: its person to take it, or who invites to invite anew. */
function isOpen(one: Invitation): boolean {
  return ["waits", "refused"].includes(stateOf(one));
}

export function nameOf(members: readonly Member[], userId: string): string {
  const member = members.find((one) => one.userId === userId);
  return member ? member.name || member.email : "somebody who left";
}
