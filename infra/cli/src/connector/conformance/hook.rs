//! Webhooks: every topic of the vendor is believed and says what it is about; what is changed, foreign or old is not.

use chrono::{DateTime, TimeDelta, Utc};
use connectors::manifest::{Hook, SignatureAlgorithm};
use connectors::simulator::{OutgoingHook, Simulator};
use connectors::{Connector, HookCall, HookInfo, HookRefusal};
use domain::canonical;
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::value::{Limits, Value};

use super::{HOOK_URL, Outcome, Proving, Stage, first, must, said};
use crate::Failure;
use crate::connector::simulate::account;

/// Who receives: the connection's secrets and its settings.
#[derive(Clone, Copy)]
struct Receiver<'r> {
    connector: &'static Connector,
    credential: &'r SecretFields,
    settings: &'r serde_json::Value,
}

impl Receiver<'_> {
    fn takes(&self, sent: &OutgoingHook, at: DateTime<Utc>) -> Result<Vec<HookInfo>, HookRefusal> {
        let call = HookCall { method: "POST", url: &sent.url, headers: &sent.headers, body: &sent.body, now: at };
        self.connector.verify_hook(&call, self.credential, self.settings)
    }
}

/// A record of a kind for an event to be about.
fn subject(simulator: &mut Simulator<'_>, kind: RecordKind, now: DateTime<Utc>) -> String {
    let known = simulator.ids(kind).into_iter().next();
    known.unwrap_or_else(|| simulator.put_record(kind, Value::Map(domain::value::Map::new()), now))
}

impl Proving {
    pub(super) async fn webhooks(&mut self) -> Result<(), Failure> {
        let Some(hook) = &self.connector.manifest.webhooks else { return Ok(()) };
        let stage = self.stage_with(|simulator| simulator.with_records(3)).await?;
        let receiver = Receiver { connector: self.connector, credential: &stage.credential, settings: &stage.settings };
        let now = Utc::now();
        for (topic, rule) in &hook.topics {
            let id = subject(&mut stage.served.simulator(), rule.kind, now);
            let sent = stage.served.simulator().emit(topic, &id, HOOK_URL, now);
            let info = sent.ok_or_else(|| "the simulator could not sign it".to_owned()).and_then(|sent| {
                let infos = receiver.takes(&sent, now).map_err(said)?;
                let info = infos.into_iter().next().ok_or("it says nothing")?;
                let is_it = info.topic == *topic && info.source_id.as_deref() == Some(&id) && info.kind == Some(rule.kind);
                if is_it { Ok((sent, info)) } else { Err(format!("it was taken for {} of {:?}", info.topic, info.source_id)) }
            });
            let outcome = info.as_ref().map(|_| ()).map_err(Clone::clone);
            self.check(format!("webhooks: {topic} is signed, believed, and says what it is about"), outcome);
            let has_records = self.connector.samples(rule.kind).next().is_some();
            if let (Ok((sent, info)), true) = (info, has_records && self.connector.read_plan(rule.kind).is_some()) {
                let outcome = self.to_record(&stage, rule.kind, &sent, &info).await;
                self.check(format!("webhooks: what {topic} is about becomes a record"), outcome);
            }
        }
        self.trust(hook)?;
        if hook.events.is_some() {
            let outcome = together(hook, &stage, receiver, now);
            self.check("webhooks: several events of one body are each taken, and told apart", outcome);
        }
        Ok(())
    }

    /// The thing itself, read back where only its id came.
    async fn to_record(&self, stage: &Stage, kind: RecordKind, sent: &OutgoingHook, info: &HookInfo) -> Outcome {
        let connector = self.connector;
        let bytes = if info.fetch {
            let id = info.source_id.as_deref().unwrap_or_default();
            let vendor = stage.vendor().await.map_err(said)?;
            vendor.fetch(&info.topic, id).await.map_err(said)?.ok_or("the topic says nothing of how it is read back")?
        } else {
            info.event.clone().unwrap_or_else(|| sent.body.clone())
        };
        let source = Value::parse(&bytes, &Limits::DEFAULT).map_err(said)?;
        let plan = connector.read_plan(kind).ok_or("there is no read mapping")?;
        let record = plan.apply(&source, connector.tables(), &Vars::default()).map_err(|issues| first(&issues))?;
        canonical::check(kind, &record).map(|_| ()).map_err(|issues| first(&issues))
    }

    /// What is not the vendor's, or not from now, is refused; and what was sent twice is one.
    fn trust(&mut self, hook: &'static Hook) -> Result<(), Failure> {
        let (settings, credential) = account(self.connector);
        let mut simulator = Simulator::new(self.connector, self.seed, settings.clone(), credential.clone())?;
        let Some((topic, rule)) = hook.topics.first() else { return Ok(()) };
        let now = Utc::now();
        let id = subject(&mut simulator, rule.kind, now);
        let (Some(sent), Some(other)) =
            (simulator.emit(topic, &id, HOOK_URL, now), simulator.emit(topic, &id, HOOK_URL, now + TimeDelta::seconds(1)))
        else {
            return Ok(());
        };
        let receiver = Receiver { connector: self.connector, credential: &credential, settings: &settings };
        let mut changed = sent.clone();
        let mut body = sent.body.to_vec();
        if let Some(byte) = body.last_mut() {
            *byte ^= 1;
        }
        changed.body = body.into();
        let is_signed = !matches!(hook.signature.algorithm, SignatureAlgorithm::Shared);
        let forged = match receiver.takes(&changed, now) {
            Err(refusal) if refusal.is_forged() || !is_signed => Ok(()),
            Err(refusal) => Err(format!("it was refused for another reason: {refusal}")),
            Ok(_) => Err("it was believed".into()),
        };
        self.check("webhooks: a changed body is refused", forged);
        let wrong: SecretFields = credential.0.keys().map(|name| (name.clone(), "d3Jvbmc=".to_owned().into())).collect();
        let stranger = Receiver { credential: &wrong, ..receiver };
        self.check(
            "webhooks: another secret's signature is refused",
            must(stranger.takes(&sent, now).is_err(), || "it was believed".into()),
        );
        self.rotation(hook, &sent, receiver, now);
        if let Some(timestamp) = &hook.signature.timestamp {
            let edge = TimeDelta::seconds(i64::from(timestamp.tolerance_s));
            let mut outcome = Ok(());
            for (at, is_in) in [(now + edge - TimeDelta::seconds(2), true), (now + edge + TimeDelta::seconds(2), false)] {
                let taken = receiver.takes(&sent, at);
                let holds = matches!((&taken, is_in), (Ok(_), true) | (Err(HookRefusal::Stale { .. }), false));
                outcome = outcome.and(must(holds, || {
                    let s = (at - now).num_seconds();
                    format!("{s} s after it was signed: {}", taken.map_or_else(|refusal| refusal.to_string(), |_| "taken".into()))
                }));
            }
            self.check("webhooks: a delivery that is sent again after its time is refused", outcome);
        }
        let key = |sent: &OutgoingHook| receiver.takes(sent, now).ok().and_then(|infos| Some(infos.first()?.dedupe_key.clone()));
        let (one, again, two) = (key(&sent), key(&sent), key(&other));
        let outcome = must(one.is_some() && one == again, || "one delivery has two keys".into()).and_then(|()| {
            // Without a key of the vendor's own, two that say the same are the same.
            must(hook.dedupe.is_none() || one != two, || "two deliveries have one key".into())?;
            let is_own = one.as_ref().is_some_and(|key| !key.starts_with("sha256:"));
            let is_shared = hook.events.is_some() && hook.dedupe.as_ref().is_some_and(|place| !place.header.is_empty());
            must(hook.dedupe.is_none() || is_own || is_shared, || {
                "the delivery's own id was not found, and its hash is taken".into()
            })
        });
        self.check("webhooks: a delivery that comes twice is known by its key, and another has another", outcome);
        Ok(())
    }

    /// While a secret is rotated, deliveries of both are believed; afterwards those of the old one are not.
    fn rotation(&mut self, hook: &Hook, sent: &OutgoingHook, receiver: Receiver<'_>, now: DateTime<Utc>) {
        let [new, old, ..] = hook.signature.secrets.as_slice() else { return };
        let Some(was) = receiver.credential.get(new).cloned() else { return };
        // The vendor still signs with what was the secret until now.
        let mut rotated = receiver.credential.clone();
        rotated.0.insert(old.clone(), was);
        rotated.0.insert(new.clone(), fresh(hook).into());
        let both = Receiver { credential: &rotated, ..receiver };
        let call = HookCall { method: "POST", url: &sent.url, headers: &sent.headers, body: &sent.body, now };
        let timestamp = hook.signature.timestamp.as_ref().and_then(|timestamp| timestamp.header.as_ref());
        let is_signing = |name: &String| hook.signature.header.contains(name) || timestamp == Some(name);
        let bare: Vec<(String, String)> = sent.headers.iter().filter(|(name, _)| !is_signing(name)).cloned().collect();
        let only = |secret: &str| {
            let value = rotated.get(secret).cloned();
            value.map(|value| [(new.clone(), value)].into_iter().collect::<SecretFields>())
        };
        let by_new = only(new).and_then(|signer| self.connector.sign_hook(&HookCall { headers: &bare, ..call }, &signer).ok());
        let outcome = by_new.ok_or_else(|| "nothing can be signed with a new secret".to_owned()).and_then(|signed| {
            let by_new = OutgoingHook { headers: bare.iter().cloned().chain(signed).collect(), ..sent.clone() };
            both.takes(sent, now).map_err(|refusal| format!("of the old secret: {refusal}"))?;
            both.takes(&by_new, now).map_err(|refusal| format!("of the new secret: {refusal}"))?;
            let after = only(new).unwrap_or_default();
            let after = Receiver { credential: &after, ..receiver };
            after.takes(&by_new, now).map_err(|refusal| format!("of the new secret, once the old one is gone: {refusal}"))?;
            must(after.takes(sent, now).is_err(), || "the old secret is believed after it is gone".into())
        });
        self.check("webhooks: while a secret is rotated both are believed, and then only the new one", outcome);
    }
}

/// Another secret, written as the vendor writes such.
fn fresh(hook: &Hook) -> String {
    use connectors::manifest::KeyEncoding;
    let secret = match hook.signature.secret_encoding {
        KeyEncoding::Base64 => "bmV3LXNlY3JldC1vZi0zMi1ieXRlcy1pbi1hbGwhIS4=",
        KeyEncoding::Hex => "6e65772d736563726574",
        KeyEncoding::Text | KeyEncoding::Nfkd => "new-secret",
    };
    format!("{}{secret}", hook.signature.secret_prefix)
}

fn together(hook: &Hook, stage: &Stage, receiver: Receiver<'_>, now: DateTime<Utc>) -> Outcome {
    let mut simulator = stage.served.simulator();
    let mut about: Vec<(&str, String)> = Vec::new();
    for (topic, rule) in &hook.topics {
        about.push((topic, subject(&mut simulator, rule.kind, now)));
    }
    let events: Vec<(&str, &str)> = about.iter().map(|(topic, id)| (*topic, id.as_str())).collect();
    let sent = simulator.emit_together(&events, HOOK_URL, now).ok_or("the simulator could not sign them")?;
    let infos = receiver.takes(&sent, now).map_err(said)?;
    let came: Vec<(&str, &str)> =
        infos.iter().map(|info| (info.topic.as_str(), info.source_id.as_deref().unwrap_or_default())).collect();
    must(came == events, || format!("{} events were sent, and taken for {came:?}", events.len()))?;
    let keys: std::collections::BTreeSet<&str> = infos.iter().map(|info| info.dedupe_key.as_str()).collect();
    must(keys.len() == infos.len(), || format!("{} events have {} keys", infos.len(), keys.len()))
}
