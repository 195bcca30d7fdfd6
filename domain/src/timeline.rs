//! The timeline of a record: everything that happened to it, over all flows and systems, in one list and in plain words.
//! [`sentence`] says one entry; the words of each act stand in one table.

use crate::audit::Action;

/// What an entry knows. Fields that its act is not about are empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    /// Who did it, where a person did.
    pub who: Option<&'a str>,
    /// Where the record came from.
    pub source: Option<&'a str>,
    pub topic: Option<&'a str>,
    /// webhook, poll, …
    pub origin: Option<&'a str>,
    pub revision: Option<i32>,
    pub flow: Option<&'a str>,
    pub flow_version: Option<i32>,
    pub destination: Option<&'a str>,
    /// The sentence of an exception.
    pub exception: Option<&'a str>,
    /// Why it was closed.
    pub resolution: Option<&'a str>,
    /// The version whose delivery is undone, and why.
    pub undone: Option<i32>,
    pub why: Option<&'a str>,
}

/// One call and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// write, update, action, proof, read or fetch.
    pub kind: &'a str,
    /// Who was called.
    pub system: &'a str,
    /// stored, failed, unknown, absent or not_sent; none while it runs.
    pub outcome: Option<&'a str>,
    pub status: Option<i32>,
    pub took_ms: Option<i64>,
    /// Why it failed.
    pub reason: Option<&'a str>,
}

/// What each act is in words; `{…}` is a field of [`Told`]. An act without words here is told by its name.
const WORDS: &[(Action, &str)] = &[
    (Action::MessageReceived, "{source} told us of it ({topic}, by {origin})."),
    (Action::MessageDuplicate, "{source} told us the same again; nothing was done twice."),
    (Action::MessageFetched, "It was read back from {source}."),
    (Action::MessageMapped, "What {source} told became revision {revision}."),
    (Action::MessageUnchanged, "What {source} told was known already."),
    (Action::MessageStale, "What {source} told was older than what is known; it changed nothing."),
    (Action::MessageIgnored, "What {source} told is about nothing that is kept."),
    (Action::RecordDeleted, "It is deleted at its source; what was not sent yet is not sent."),
    (Action::MessageException, "What {source} told could not be read; a person must look at it."),
    (
        Action::DeliveryPlanned,
        "Revision {revision} is to be sent to {destination} by version {flow_version} of the flow \"{flow}\".",
    ),
    (
        Action::DeliveryUndone,
        "What version {undone} of the flow \"{flow}\" sent to {destination} is undone: version {flow_version} sends what is to stand there. {why}.",
    ),
    (
        Action::DeliverySuperseded,
        "Revision {revision} is not sent to {destination} any more: what was told later took its place.",
    ),
    (Action::DeliveryWaits, "Revision {revision} waits to be sent to {destination}."),
    (Action::DeliveryProven, "{destination} was asked and has revision {revision}."),
    (Action::DeliveryAbsent, "{destination} was asked and does not have revision {revision}; it is sent."),
    (
        Action::DeliveryDisputed,
        "The id that {destination} gave for revision {revision} is found there under another record's key; {destination} is asked by this one's.",
    ),
    (Action::DeliveryException, "Revision {revision} was not sent to {destination}; a person must look at it."),
    (Action::DeliveryRetried, "{who} tries revision {revision} to {destination} again."),
    (Action::ExceptionOpened, "{exception}"),
    (Action::ExceptionResolved, "The exception was closed: {resolution}."),
    (Action::ExceptionIgnored, "{who} decided to leave it: {resolution}."),
    (Action::ExceptionReopened, "{who} took that back: it is open again."),
];

/// What happened, in one sentence. `action` is a word of the audit log.
#[must_use]
pub fn sentence(action: &str, told: &Told<'_>) -> String {
    let Some((_, words)) = WORDS.iter().find(|(known, _)| known.as_str() == action) else {
        return match told.who {
            Some(who) => format!("{who}: {}.", action.replace(['.', '_'], " ")),
            None => format!("{}.", action.replace(['.', '_'], " ")),
        };
    };
    let number = |number: Option<i32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let text = |text: Option<&str>, otherwise: &str| text.unwrap_or(otherwise).trim_end_matches('.').to_owned();
    let mut said = String::with_capacity(words.len() + 40);
    let mut rest = *words;
    // What is put in is never looked through: a name may hold braces.
    while let Some((before, after)) = rest.split_once('{') {
        said.push_str(before);
        let Some((field, after)) = after.split_once('}') else { break };
        said.push_str(&match field {
            "who" => text(told.who, "Somebody"),
            "source" => text(told.source, "The source"),
            "topic" => text(told.topic, "no topic"),
            "origin" => text(told.origin, "no known way"),
            "revision" => number(told.revision),
            "flow" => text(told.flow, "?"),
            "flow_version" => number(told.flow_version),
            "destination" => text(told.destination, "the destination"),
            "exception" => told.exception.unwrap_or("A person must look at it.").to_owned(),
            "resolution" => text(told.resolution, "no reason was given"),
            "undone" => number(told.undone),
            "why" => text(told.why, "No reason was given"),
            _ => String::new(),
        });
        rest = after;
    }
    said.push_str(rest);
    said
}

/// A call in one sentence: who was called for what, and what came of it.
#[must_use]
pub fn call_sentence(called: &Called<'_>) -> String {
    let system = called.system;
    let what = match called.kind {
        "write" => format!("It was sent to {system}"),
        "update" => format!("What {system} has was changed"),
        "action" => format!("An action that belongs to it was done at {system}"),
        "proof" => format!("{system} was asked whether it has it"),
        "read" => format!("{system} was asked what it has"),
        "fetch" => format!("It was read from {system}"),
        other => format!("{system} was called ({other})"),
    };
    let answer = match (called.outcome, called.kind) {
        (None, _) => return format!("{what}; no answer yet."),
        (Some("stored"), "write" | "update" | "action") => "stored",
        (Some("stored"), "proof") => "it has",
        (Some("stored"), _) => "answered",
        (Some("absent"), _) => "it has not",
        (Some("unknown"), _) => "the answer was lost",
        (Some("not_sent"), _) => "it was not sent",
        (Some("failed"), _) => "refused",
        (Some(other), _) => other,
    };
    let status = called.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let took = called.took_ms.map(|ms| format!(", after {ms} ms")).unwrap_or_default();
    let reason = called.reason.map(|reason| format!(": {}", reason.trim_end_matches('.'))).unwrap_or_default();
    format!("{what}: {answer}{status}{took}{reason}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_on_the_way_of_an_order_is_told_in_words() {
        let told = Told {
            who: Some("Ann"),
            source: Some("Acme shop"),
            topic: Some("orders/create"),
            origin: Some("webhook"),
            revision: Some(2),
            flow: Some("orders {to} ERP"),
            flow_version: Some(3),
            destination: Some("Acme ERP"),
            exception: Some("Order #1042 was not sent."),
            resolution: Some("Tried again"),
            undone: Some(4),
            why: Some("Prices were wrong."),
        };
        let say = |action: Action| sentence(action.as_str(), &told);
        assert_eq!(say(Action::MessageReceived), "Acme shop told us of it (orders/create, by webhook).");
        let planned = "Revision 2 is to be sent to Acme ERP by version 3 of the flow \"orders {to} ERP\".";
        assert_eq!(say(Action::DeliveryPlanned), planned);
        let undone = "What version 4 of the flow \"orders {to} ERP\" sent to Acme ERP is undone: version 3 sends what is to stand there. Prices were wrong.";
        assert_eq!(say(Action::DeliveryUndone), undone);
        assert_eq!(say(Action::ExceptionOpened), "Order #1042 was not sent.");
        assert_eq!(say(Action::ExceptionIgnored), "Ann decided to leave it: Tried again.");
        assert_eq!(say(Action::ExceptionReopened), "Ann took that back: it is open again.");
        assert_eq!(sentence("lookup_table.entries_set", &told), "Ann: lookup table entries set.");
        for (action, _) in WORDS {
            let said = sentence(action.as_str(), &Told::default());
            assert!(said.ends_with('.') && !said.contains('{'), "{said}");
        }
    }

    #[test]
    fn a_call_says_what_came_of_it() {
        let called = Called { kind: "write", system: "Acme ERP", outcome: None, status: None, took_ms: None, reason: None };
        assert_eq!(call_sentence(&called), "It was sent to Acme ERP; no answer yet.");
        let stored = Called { outcome: Some("stored"), status: Some(201), took_ms: Some(35), ..called };
        assert_eq!(call_sentence(&stored), "It was sent to Acme ERP: stored, status 201, after 35 ms.");
        let failed = Called { outcome: Some("failed"), status: Some(400), reason: Some("The item is closed."), ..called };
        assert_eq!(call_sentence(&failed), "It was sent to Acme ERP: refused, status 400: The item is closed.");
    }
}
