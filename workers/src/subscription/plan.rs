//! What a check has to do: what is kept, held against what the vendor lists. It decides and calls nobody, so that a table of cases is the test.

use chrono::{DateTime, Utc};
use connectors::{ListedSubscription, is_same_address, is_same_topic};
use domain::id::SubscriptionId;
use domain::subscription::SubscriptionState;
use infra::postgres::subscription::SubscriptionRow;

/// What the connector and the account are like.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Where the vendor is to send to.
    pub hook_url: &'a str,
    /// The vendor says with a registration what it signs with: one whose answer we never had cannot be verified.
    pub gives_secret: bool,
    /// A person has given a secret, so that a registration which a person made can be verified.
    pub has_secret: bool,
    /// One registration is for all topics.
    pub is_for_all: bool,
    /// Registrations end unless they are renewed,
    pub ends: bool,
    /// and can be.
    pub renews: bool,
    pub now: DateTime<Utc>,
}

/// What is to be done. The order matters: what is new is there before anything is taken away.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan<'a> {
    /// They are there, as this registration.
    pub seen: Vec<(SubscriptionId, &'a ListedSubscription)>,
    /// They were there and are not any more.
    pub lost: Vec<SubscriptionId>,
    /// Of those that are there, what is to be renewed.
    pub renew: Vec<(Vec<SubscriptionId>, &'a ListedSubscription)>,
    /// What is to be registered, with one call each.
    pub subscribe: Vec<Vec<SubscriptionId>>,
    /// The vendor has registered it for all topics, and this one is not among them.
    pub never: Vec<SubscriptionId>,
    /// Ours, and of no use any more.
    pub delete: Vec<&'a ListedSubscription>,
}

/// `listed` is the vendor's whole list; `None` where it has none, and only what we know ourselves tells.
pub fn plan<'a>(rows: &[SubscriptionRow], listed: Option<&'a [ListedSubscription]>, facts: &Facts<'_>) -> Plan<'a> {
    let wanted: Vec<&SubscriptionRow> = rows.iter().filter(|row| row.state.is_wanted()).collect();
    let Some(listed) = listed else { return from_memory(&wanted, facts) };
    let mut plan = Plan::default();
    if facts.is_for_all {
        for_all(&wanted, listed, facts, &mut plan)
    } else {
        each(&wanted, listed, facts, &mut plan)
    }
    let is_there = |id: &str| listed.iter().any(|one| one.id == id && one.active);
    plan.lost = wanted.iter().filter(|row| row.vendor_id.as_deref().is_some_and(|id| !is_there(id))).map(|row| row.id).collect();
    let is_used = |one: &ListedSubscription| plan.seen.iter().any(|(_, seen)| seen.id == one.id);
    plan.delete = listed.iter().filter(|one| is_ours(rows, one, facts) && !is_used(one)).collect();
    plan
}

/// Registered by us, or for a topic that we keep. What sends here for a topic that we never asked for is a person's and stays.
fn is_ours(rows: &[SubscriptionRow], one: &ListedSubscription, facts: &Facts<'_>) -> bool {
    rows.iter().any(|row| row.vendor_id.as_ref() == Some(&one.id))
        || is_same_address(&one.url, facts.hook_url) && rows.iter().any(|row| is_for(one, &row.topic))
}

fn is_for(one: &ListedSubscription, topic: &str) -> bool {
    one.topics.iter().any(|own| is_same_topic(topic, own))
}

/// True where its deliveries come to us, and can be verified.
fn serves(row: &SubscriptionRow, one: &ListedSubscription, facts: &Facts<'_>) -> bool {
    let is_known = row.vendor_id.as_ref() == Some(&one.id);
    if !one.active || !is_same_address(&one.url, facts.hook_url) {
        return false;
    }
    let is_asked_for = row.state == SubscriptionState::Subscribing;
    if row.is_rotating {
        // The old one is not wanted; a new one is the one whose answer was lost.
        return !is_known && is_asked_for && !facts.gives_secret;
    }
    match (facts.gives_secret, is_known) {
        (false, _) => true,
        // One that a person made before we were there signs with what the person gave; so does one that was taken over.
        (true, true) => row.has_secret || facts.has_secret,
        (true, false) => facts.has_secret && row.vendor_id.is_none() && !is_asked_for,
    }
}

fn is_over(row: &SubscriptionRow, facts: &Facts<'_>) -> bool {
    facts.ends && row.renew_at.is_none_or(|renew_at| renew_at <= facts.now)
}

fn each<'a>(wanted: &[&SubscriptionRow], listed: &'a [ListedSubscription], facts: &Facts<'_>, plan: &mut Plan<'a>) {
    for row in wanted {
        let is_known = |one: &&ListedSubscription| row.vendor_id.as_ref() == Some(&one.id);
        let serving = |one: &&ListedSubscription| serves(row, one, facts);
        let of_topic = |one: &&ListedSubscription| serving(one) && is_for(one, &row.topic);
        // One that we made is for its topic, however the vendor calls that in its list.
        let found = listed.iter().filter(serving).find(is_known).or_else(|| listed.iter().find(of_topic));
        match found {
            Some(one) if is_over(row, facts) && facts.renews => {
                plan.seen.push((row.id, one));
                plan.renew.push((vec![row.id], one));
            }
            Some(one) if !is_over(row, facts) => plan.seen.push((row.id, one)),
            _ => plan.subscribe.push(vec![row.id]),
        }
    }
}

fn for_all<'a>(wanted: &[&SubscriptionRow], listed: &'a [ListedSubscription], facts: &Facts<'_>, plan: &mut Plan<'a>) {
    let Some(first) = wanted.first() else { return };
    let all = || wanted.iter().map(|row| row.id).collect::<Vec<_>>();
    let known =
        listed.iter().find(|one| wanted.iter().any(|row| row.vendor_id.as_ref() == Some(&one.id) && serves(row, one, facts)));
    let is_new =
        |row: &SubscriptionRow, one: &ListedSubscription| row.vendor_id.as_ref() == Some(&one.id) && row.seen_at.is_none();
    let is_whole = |one: &&ListedSubscription| wanted.iter().all(|row| serves(row, one, facts) && is_for(one, &row.topic));
    let found = match known {
        // What we registered ourselves just now, and lacks a topic, would lack it once more.
        Some(one) if wanted.iter().all(|row| is_for(one, &row.topic) || is_new(row, one)) => {
            plan.never = wanted.iter().filter(|row| !is_for(one, &row.topic)).map(|row| row.id).collect();
            Some(one)
        }
        _ => listed.iter().find(is_whole),
    };
    let is_due =
        wanted.iter().any(|row| row.vendor_id.is_some() && is_over(row, facts)) || first.vendor_id.is_none() && facts.ends;
    match found {
        Some(one) if !is_due || facts.renews => {
            plan.seen = wanted.iter().filter(|row| is_for(one, &row.topic)).map(|row| (row.id, one)).collect();
            if is_due {
                plan.renew.push((all(), one));
            }
        }
        _ => {
            plan.never.clear();
            plan.subscribe.push(all());
        }
    }
}

fn from_memory<'a>(wanted: &[&SubscriptionRow], facts: &Facts<'_>) -> Plan<'a> {
    let is_missing = |row: &&&SubscriptionRow| row.state != SubscriptionState::Active || row.is_rotating || is_over(row, facts);
    let missing: Vec<SubscriptionId> = wanted.iter().filter(is_missing).map(|row| row.id).collect();
    let subscribe = match facts.is_for_all {
        true if missing.is_empty() => vec![],
        true => vec![wanted.iter().map(|row| row.id).collect()],
        false => missing.into_iter().map(|id| vec![id]).collect(),
    };
    Plan { subscribe, ..Plan::default() }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const HOOK: &str = "https://us.example/hooks/t0ken";

    fn facts(now: DateTime<Utc>) -> Facts<'static> {
        Facts { hook_url: HOOK, gives_secret: false, has_secret: false, is_for_all: false, ends: false, renews: false, now }
    }

    fn row(topic: &str, state: SubscriptionState, vendor_id: Option<&str>) -> SubscriptionRow {
        SubscriptionRow {
            id: SubscriptionId::generate(),
            topic: topic.into(),
            state,
            vendor_id: vendor_id.map(str::to_owned),
            has_secret: vendor_id.is_some(),
            is_rotating: false,
            renew_at: None,
            seen_at: None,
        }
    }

    fn listed(id: &str, topics: &[&str], url: &str, active: bool) -> ListedSubscription {
        ListedSubscription {
            id: id.into(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            url: url.into(),
            active,
        }
    }

    fn deleted<'a>(plan: &'a Plan<'_>) -> Vec<&'a str> {
        plan.delete.iter().map(|one| one.id.as_str()).collect()
    }

    use SubscriptionState::{Active, Ended, Ending, Subscribing, Wanted};

    #[test]
    fn what_is_missing_is_registered_and_only_what_is_ours_is_taken_away() {
        let now = DateTime::UNIX_EPOCH;
        let rows = [
            row("orders/create", Active, Some("1")),
            row("orders/updated", Wanted, None),
            row("items/create", Ending, Some("9")),
        ];
        let list = [
            listed("1", &["ORDERS_CREATE"], "https://us.example/hooks/t0ken/", true),
            listed("2", &["ORDERS_CREATE"], HOOK, true),
            listed("3", &["orders/updated"], "https://somebody.example/else", true),
            listed("4", &["orders/updated"], HOOK, false),
            // A person's: we never asked for the topic.
            listed("5", &["refunds/create"], HOOK, true),
            listed("9", &["items/create"], HOOK, true),
        ];
        let plan = plan(&rows, Some(&list), &facts(now));
        assert_eq!(plan.seen, [(rows[0].id, &list[0])]);
        assert_eq!(plan.subscribe, [vec![rows[1].id]]);
        assert_eq!(deleted(&plan), ["2", "4", "9"]);
        assert_eq!(plan.lost, []);
    }

    #[test]
    fn what_the_vendor_dropped_or_switched_off_is_lost_and_registered_anew() {
        let rows = [row("a", Active, Some("1")), row("b", Active, Some("2"))];
        let list = [listed("2", &["b"], HOOK, false)];
        let plan = plan(&rows, Some(&list), &facts(DateTime::UNIX_EPOCH));
        assert_eq!(plan.lost, [rows[0].id, rows[1].id]);
        assert_eq!(plan.subscribe, [vec![rows[0].id], vec![rows[1].id]]);
        assert_eq!(deleted(&plan), ["2"]);
    }

    #[test]
    fn one_whose_answer_was_lost_is_found_and_not_doubled_unless_its_secret_is_lost_too() {
        let rows = [row("a", Subscribing, None)];
        let list = [listed("7", &["a"], HOOK, true)];
        let found = plan(&rows, Some(&list), &facts(DateTime::UNIX_EPOCH));
        assert_eq!((found.seen.len(), found.subscribe.len(), found.delete.len()), (1, 0, 0));
        let gives = Facts { gives_secret: true, has_secret: true, ..facts(DateTime::UNIX_EPOCH) };
        let anew = plan(&rows, Some(&list), &gives);
        assert_eq!((anew.seen.len(), anew.subscribe.len(), deleted(&anew)), (0, 1, vec!["7"]));
        // One that a person made before stays, and so does one that was taken over.
        for rows in [[row("a", Wanted, None)], [SubscriptionRow { has_secret: false, ..row("a", Active, Some("7")) }]] {
            let kept = plan(&rows, Some(&list), &gives);
            assert_eq!((kept.seen.len(), kept.subscribe.len(), kept.delete.len()), (1, 0, 0));
        }
        // Without any secret, nothing that it sends could be verified.
        let unknown = plan(&[row("a", Wanted, None)], Some(&list), &Facts { has_secret: false, ..gives });
        assert_eq!((unknown.subscribe.len(), deleted(&unknown)), (1, vec!["7"]));
    }

    #[test]
    fn a_secret_is_replaced_by_a_new_registration_and_a_crash_between_leaves_one() {
        let rotating = |state| SubscriptionRow { is_rotating: true, ..row("a", state, Some("1")) };
        let (old, new) = (listed("1", &["a"], HOOK, true), listed("2", &["a"], HOOK, true));
        let list = [old.clone()];
        let begun = plan(&[rotating(Active)], Some(&list), &facts(DateTime::UNIX_EPOCH));
        assert_eq!((begun.subscribe.len(), deleted(&begun)), (1, vec!["1"]));
        let list = [old, new];
        let crashed = plan(&[rotating(Subscribing)], Some(&list), &facts(DateTime::UNIX_EPOCH));
        assert_eq!((crashed.seen[0].1.id.as_str(), crashed.subscribe.len(), deleted(&crashed)), ("2", 0, vec!["1"]));
    }

    #[test]
    fn what_ends_is_renewed_in_time_or_registered_anew() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        let at = |renew_at| SubscriptionRow { renew_at: Some(renew_at), ..row("a", Active, Some("1")) };
        let list = [listed("1", &["a"], HOOK, true)];
        let ends = Facts { ends: true, renews: true, ..facts(now) };
        let early = plan(&[at(now + TimeDelta::hours(1))], Some(&list), &ends);
        assert_eq!((early.seen.len(), early.renew.len(), early.subscribe.len()), (1, 0, 0));
        let due = plan(&[at(now)], Some(&list), &ends);
        assert_eq!((due.seen.len(), due.renew.len(), due.subscribe.len()), (1, 1, 0));
        let anew = plan(&[at(now)], Some(&list), &Facts { renews: false, ..ends });
        assert_eq!((anew.seen.len(), anew.renew.len(), anew.subscribe.len(), deleted(&anew)), (0, 0, 1, vec!["1"]));
    }

    #[test]
    fn one_registration_for_all_topics_is_replaced_where_it_lacks_one_and_not_for_ever() {
        let all = Facts { is_for_all: true, ..facts(DateTime::UNIX_EPOCH) };
        let seen = |topic| SubscriptionRow { seen_at: Some(DateTime::UNIX_EPOCH), ..row(topic, Active, Some("1")) };
        let list = [listed("1", &["a"], HOOK, true)];
        // A topic that was there is not any more.
        let rows = [seen("a"), seen("b")];
        let lacking = plan(&rows, Some(&list), &all);
        assert_eq!((lacking.subscribe.clone(), deleted(&lacking)), (vec![vec![rows[0].id, rows[1].id]], vec!["1"]));
        // It never was, although we have just asked for it.
        let rows = [row("a", Active, Some("1")), row("b", Active, Some("1"))];
        let never = plan(&rows, Some(&list), &all);
        assert_eq!(
            (never.seen.len(), never.never.clone(), never.subscribe.len(), never.delete.len()),
            (1, vec![rows[1].id], 0, 0)
        );
        // After a crash both are there: the known one stays.
        let list = [listed("0", &["a", "b"], HOOK, true), listed("1", &["a", "b"], HOOK, true)];
        let both = plan(&[seen("a"), seen("b")], Some(&list), &all);
        assert_eq!((both.seen[0].1.id.as_str(), deleted(&both)), ("1", vec!["0"]));
        // Nobody needs it any more.
        let none = plan(&[SubscriptionRow { state: Ending, ..seen("a") }, row("b", Ended, None)], Some(&list), &all);
        assert_eq!((none.seen.len(), none.subscribe.len(), deleted(&none)), (0, 0, vec!["0", "1"]));
    }

    #[test]
    fn a_vendor_without_a_list_is_believed_until_it_is_time() {
        let now = DateTime::UNIX_EPOCH;
        let rows = [row("a", Active, Some("1")), row("b", Wanted, None)];
        assert_eq!(plan(&rows, None, &facts(now)).subscribe, [vec![rows[1].id]]);
        assert_eq!(plan(&rows[..1], None, &Facts { ends: true, ..facts(now) }).subscribe, [vec![rows[0].id]]);
    }
}
