//! Seal: what was done is closed in signed batches, a tenant at a time, beside the way of orders. Several workers may do so at once: one of them
//! seals a tenant, the others go on. What a process leaves undone is still unsealed, so the next look takes it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use domain::id::TenantId;
use domain::scope::Scope;
use domain::seal::EVENTS_MAX;
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::seal::Sealing;
use tokio::sync::watch;
use tracing::{info, warn};
use uuid::Uuid;

use crate::Context;

/// Tenants of one look.
const TENANTS_MAX: i32 = 500;
/// How long we may find another process at a tenant, and something unsealed that is as old, before that is told.
const BUSY_FOR: Duration = Duration::from_secs(5 * 60);

/// Tenants that another process was at whenever we looked: since when, and whether it was told. Only those of the last round are in it.
#[derive(Default)]
struct Busy(HashMap<TenantId, (Instant, bool)>);

impl Busy {
    /// True where it takes too long, until that is told.
    fn is_too_long(&mut self, tenant: TenantId, now: Instant) -> bool {
        let (since, is_told) = self.0.entry(tenant).or_insert((now, false));
        !*is_told && now.duration_since(*since) >= BUSY_FOR
    }

    fn told(&mut self, tenant: TenantId) {
        if let Some((_, is_told)) = self.0.get_mut(&tenant) {
            *is_told = true;
        }
    }
}

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut busy = Busy::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(context.settings.seal_every) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        // A tenant with more than one seal holds comes again after all others.
        while let Round::More = round(&context, &mut busy, &stop).await {}
        if let Err(error) = retain(&context, &stop).await {
            warn!(error = chain(&error), "What is too old could not be removed from the audit log; tomorrow's look tries again");
        }
    }
}

/// Removes what is older than its tenant keeps it.
async fn retain(context: &Context, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
    for tenant in context.store.audit_policies_take(TENANTS_MAX).await? {
        let scope = Scope::system(tenant, "seal");
        let mut removed = 0;
        while !*stop.borrow() {
            match context.store.within(&scope).audit_retain(&context.vault).await? {
                0 => break,
                count => removed += count,
            }
        }
        if removed > 0 {
            info!(tenant.id = %tenant, removed, "Removed {removed} events that the tenant keeps no longer");
        }
    }
    Ok(())
}

enum Round {
    More,
    Done,
}

/// One seal for each tenant that has something to seal.
async fn round(context: &Context, busy: &mut Busy, stop: &watch::Receiver<bool>) -> Round {
    let (mut after, mut outcome, mut found_busy) = (TenantId(Uuid::nil()), Round::Done, HashSet::new());
    loop {
        let tenants = match context.store.audit_unsealed_tenants(after, TENANTS_MAX).await {
            Ok(tenants) => tenants,
            Err(error) => {
                warn!(error = chain(&error), "What is to be sealed could not be looked for; the next look tries again");
                return Round::Done;
            }
        };
        for tenant in &tenants {
            if *stop.borrow() {
                return Round::Done;
            }
            let scope = Scope::system(*tenant, "seal");
            match context.store.within(&scope).audit_seal(&context.vault).await {
                Ok(Sealing::Done(count)) if count == EVENTS_MAX => outcome = Round::More,
                Ok(Sealing::Done(_)) => {}
                Ok(Sealing::Busy) => {
                    found_busy.insert(*tenant);
                    if busy.is_too_long(*tenant, Instant::now()) {
                        match tell_busy(context, &scope).await {
                            Ok(true) => busy.told(*tenant),
                            Ok(false) => {
                                found_busy.remove(tenant);
                            }
                            Err(error) => {
                                warn!(
                                    error = chain(&error),
                                    tenant.id = %tenant,
                                    "How far the audit log of {tenant} is sealed could not be looked for; the next look tries again"
                                );
                            }
                        }
                    }
                }
                Err(error) => {
                    warn!(error = chain(&error), tenant.id = %tenant, "The audit log of {tenant} was not sealed; the next look tries again")
                }
            }
        }
        match tenants.last() {
            Some(last) if tenants.len() == TENANTS_MAX as usize => after = *last,
            _ => break,
        }
    }
    busy.0.retain(|tenant, _| found_busy.contains(tenant));
    outcome
}

/// Says that a tenant is not sealed, though somebody is at it all the time: that may be a process that hangs. False where they get on with it, and it
/// was only chance that we never found them away.
async fn tell_busy(context: &Context, scope: &Scope) -> Result<bool, StoreError> {
    let tenant = scope.tenant;
    let since = context.store.within(scope).audit_unsealed_since().await?;
    let waits = since.and_then(|since| (Utc::now() - since).to_std().ok()).unwrap_or_default();
    if waits < BUSY_FOR {
        return Ok(false);
    }
    warn!(
        tenant.id = %tenant,
        waits_s = waits.as_secs(),
        "The audit log of {tenant} is not sealed: for {} minutes another process has had it whenever we looked, and its oldest unsealed event \
         has waited for {} s. Look for a session of the database that hangs with an advisory lock",
        BUSY_FOR.as_secs() / 60,
        waits.as_secs()
    );
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_stays_busy_is_told_of_once_and_until_that_worked() {
        let (mut busy, tenant, other, begin) = (Busy::default(), TenantId::generate(), TenantId::generate(), Instant::now());
        let minute = |minute: u64| begin + Duration::from_secs(60 * minute);
        let long: Vec<bool> = (0..=7).map(|at| busy.is_too_long(tenant, minute(at))).collect();
        assert_eq!(long, [false, false, false, false, false, true, true, true], "the look that would tell it failed");
        busy.told(tenant);
        assert!(!busy.is_too_long(tenant, minute(8)));
        assert!(!busy.is_too_long(other, begin + BUSY_FOR), "it was seen for the first time");
        busy.0.remove(&tenant);
        assert!(!busy.is_too_long(tenant, begin + 2 * BUSY_FOR), "it was sealed in between, so it begins anew");
    }
}
