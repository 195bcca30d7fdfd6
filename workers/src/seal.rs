//! Seal: what was done is closed in signed batches, a tenant at a time, beside the way of orders. Several workers may do so at once: one of them
//! seals a tenant, the others go on. What a process leaves undone is still unsealed, so the next look takes it.

use std::sync::Arc;

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

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(context.settings.seal_every) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        // A tenant with more than one seal holds comes again after all others.
        while let Round::More = round(&context, &stop).await {}
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
async fn round(context: &Context, stop: &watch::Receiver<bool>) -> Round {
    let (mut after, mut outcome) = (TenantId(Uuid::nil()), Round::Done);
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
                Ok(Sealing::Done(_) | Sealing::Busy) => {}
                Err(error) => {
                    warn!(error = chain(&error), tenant.id = %tenant, "The audit log of {tenant} was not sealed; the next look tries again")
                }
            }
        }
        match tenants.last() {
            Some(last) if tenants.len() == TENANTS_MAX as usize => after = *last,
            _ => return outcome,
        }
    }
}
