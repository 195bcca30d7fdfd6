//! What each operation needs: the one table that every root field of Query and Mutation stands in, and the one place where it is asked. A field that
//! stands in none is refused to everybody, and a test says so.

use std::borrow::Cow;
use std::pin::Pin;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::resolve_container;
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ObjectType, OutputType, Positioned, Response, Result, ServerResult,
    SubscriptionType, Value,
};
use domain::id::UserId;
use domain::permission::Permission;
use domain::permission::Permission::{
    Configure, ManageApiKeys, ManageMembers, ManageOwners, ManageSupport, ReadAudit, ReadInvoices, ReadOperations, ReadUsage,
    WorkExceptions,
};
use futures::{Stream, StreamExt as _, stream};
use infra::postgres::impersonation::LiveImpersonation;

use super::error::{Code, NOT_FOR_SUPPORT, READ_ONLY_SUPPORT, fail, internal, scope, state, viewer};
use super::session::vouched_for;
use crate::auth::Identity;

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Strangers, too.
    Anyone,
    /// Whoever is signed in, whatever the tenant.
    SignedIn,
    /// A person; not an API key.
    Person,
    /// Who has the permission in the tenant that the request is about.
    Tenant(Permission),
    /// As `Tenant`, and a person: where a second pair of eyes is asked for, a key has none.
    PersonOf(Permission),
    /// Staff of this installation, in their own session.
    Staff,
    /// As `Staff`, and from within an impersonation, too.
    StaffAnywhere,
}

use Access::{Anyone, Person, PersonOf, SignedIn, Staff, StaffAnywhere, Tenant};

#[rustfmt::skip]
const QUERIES: &[(&str, Access)] = &[
    ("account", Person),
    ("alarmPolicy", Tenant(ReadOperations)),
    ("alertReceivers", Tenant(ReadOperations)),
    ("alertRules", Tenant(ReadOperations)),
    ("alerts", Tenant(ReadOperations)),
    ("apiKeys", Tenant(ManageApiKeys)),
    ("arrivalSeries", Tenant(ReadOperations)),
    ("attemptRemade", Tenant(ReadOperations)),
    ("auditEvents", Tenant(ReadAudit)),
    ("auditHead", Tenant(ReadAudit)),
    ("auditPolicy", Tenant(ReadAudit)),
    ("auditStreams", Tenant(ReadAudit)),
    ("backfill", Tenant(ReadOperations)),
    ("backfills", Tenant(ReadOperations)),
    ("catchUps", Tenant(ReadOperations)),
    ("certificateKey", Tenant(ReadAudit)),
    ("connection", Tenant(ReadOperations)),
    ("connectionHealth", Tenant(ReadOperations)),
    ("connections", Tenant(ReadOperations)),
    ("connectors", Tenant(ReadOperations)),
    ("deliveries", Tenant(ReadOperations)),
    ("delivery", Tenant(ReadOperations)),
    ("differences", Tenant(ReadOperations)),
    ("driftPolicies", Tenant(ReadOperations)),
    ("drifts", Tenant(ReadOperations)),
    ("emailDomains", Tenant(ManageMembers)),
    ("exceptionGroup", Tenant(ReadOperations)),
    ("exceptionGroups", Tenant(ReadOperations)),
    ("exceptionWhatIf", Tenant(ReadOperations)),
    ("exceptions", Tenant(ReadOperations)),
    ("files", Tenant(ReadOperations)),
    ("flow", Tenant(ReadOperations)),
    ("flowCheck", Tenant(ReadOperations)),
    ("flowDryRun", Tenant(ReadOperations)),
    ("flowTemplates", Tenant(ReadOperations)),
    ("flowUndo", Tenant(ReadOperations)),
    ("flowUndos", Tenant(ReadOperations)),
    ("flows", Tenant(ReadOperations)),
    ("identityProvider", Tenant(ManageMembers)),
    ("impersonations", Tenant(ReadAudit)),
    ("incidents", Tenant(ReadOperations)),
    ("interchanges", Tenant(ReadOperations)),
    ("inventoryItems", Tenant(ReadOperations)),
    ("inventoryPolicy", Tenant(ReadOperations)),
    ("invitation", Anyone),
    ("invitations", Tenant(ManageMembers)),
    ("invoice", Tenant(ReadInvoices)),
    ("invoiceDraft", Tenant(ReadInvoices)),
    ("invoices", Tenant(ReadInvoices)),
    ("latency", Tenant(ReadOperations)),
    ("ledger", Tenant(ReadOperations)),
    ("lookupInbox", Tenant(ReadOperations)),
    ("lookupTable", Tenant(ReadOperations)),
    ("lookupTables", Tenant(ReadOperations)),
    ("matchPolicy", Tenant(ReadOperations)),
    ("members", Tenant(ReadOperations)),
    ("messages", Tenant(ReadOperations)),
    ("node", Tenant(ReadOperations)),
    ("persistedOperations", Tenant(ManageApiKeys)),
    ("polls", Tenant(ReadOperations)),
    ("profile", Tenant(ReadOperations)),
    ("reconciliation", Tenant(ReadOperations)),
    ("reconciliations", Tenant(ReadOperations)),
    ("record", Tenant(ReadOperations)),
    ("records", Tenant(ReadOperations)),
    ("revisionRemade", Tenant(ReadOperations)),
    ("run", Tenant(ReadOperations)),
    ("scimTokens", Tenant(ManageMembers)),
    ("search", Tenant(ReadOperations)),
    ("sentGroups", Tenant(ReadOperations)),
    ("serviceAccounts", Tenant(ManageApiKeys)),
    ("sessions", Person),
    ("signInPolicy", Tenant(ManageMembers)),
    ("sunsets", Tenant(ReadOperations)),
    ("supportConsents", Tenant(ReadAudit)),
    ("supportDesk", Staff),
    ("supportRequests", Tenant(ReadAudit)),
    ("supportSeesPersonalData", Tenant(ReadAudit)),
    ("swap", Tenant(ReadOperations)),
    ("swapGaps", Tenant(ReadOperations)),
    ("swaps", Tenant(ReadOperations)),
    ("tenant", SignedIn),
    ("throughput", Tenant(ReadOperations)),
    ("timeline", Tenant(ReadOperations)),
    ("usage", Tenant(ReadUsage)),
    ("viewer", Anyone),
];

#[rustfmt::skip]
const MUTATIONS: &[(&str, Access)] = &[
    ("alarmPolicySet", Tenant(Configure)),
    ("alertReceiverCreate", Tenant(Configure)),
    ("alertReceiverRemove", Tenant(Configure)),
    ("alertReceiverTest", Tenant(Configure)),
    ("alertReceiverUpdate", Tenant(Configure)),
    ("alertRuleRemove", Tenant(Configure)),
    ("alertRuleSet", Tenant(Configure)),
    ("apiKeyCreate", Tenant(ManageApiKeys)),
    ("apiKeyRevoke", Tenant(ManageApiKeys)),
    ("apiKeyRotate", Tenant(ManageApiKeys)),
    ("arrivalSeriesForget", Tenant(WorkExceptions)),
    ("arrivalSeriesMute", Tenant(WorkExceptions)),
    ("auditPolicySet", Tenant(ManageMembers)),
    ("auditStreamCreate", Tenant(ManageMembers)),
    ("auditStreamPause", Tenant(ManageMembers)),
    ("auditStreamRemove", Tenant(ManageMembers)),
    ("backfillCancel", Tenant(Configure)),
    ("backfillPause", Tenant(Configure)),
    ("backfillPrepare", Tenant(Configure)),
    ("backfillRun", Tenant(Configure)),
    ("catchUpRank", Tenant(WorkExceptions)),
    ("certificateMake", Tenant(ReadAudit)),
    ("connectionConsentBegin", PersonOf(Configure)),
    ("connectionCreate", Tenant(Configure)),
    ("connectionPause", Tenant(Configure)),
    ("connectionReconnected", Tenant(Configure)),
    ("connectionReserveSet", Tenant(Configure)),
    ("connectionResume", Tenant(Configure)),
    ("connectionTest", Tenant(Configure)),
    ("connectionUpdate", Tenant(Configure)),
    ("credentialReplace", Tenant(Configure)),
    ("differenceAccept", Tenant(WorkExceptions)),
    ("differenceResend", Tenant(WorkExceptions)),
    ("driftAccept", Tenant(WorkExceptions)),
    ("driftPolicySet", Tenant(Configure)),
    ("emailDomainAdd", Tenant(ManageMembers)),
    ("emailDomainCodeSend", Tenant(ManageMembers)),
    ("emailDomainEnforce", Tenant(ManageMembers)),
    ("emailDomainProve", Tenant(ManageMembers)),
    ("emailDomainRelease", Tenant(ManageMembers)),
    ("emailDomainRemove", Tenant(ManageMembers)),
    ("emailVerificationAsk", Person),
    ("emailVerify", Anyone),
    ("exceptionAssign", Tenant(WorkExceptions)),
    ("exceptionComment", Tenant(WorkExceptions)),
    ("exceptionCreateFirst", Tenant(WorkExceptions)),
    ("exceptionEditPayload", Tenant(WorkExceptions)),
    ("exceptionEditRecord", Tenant(WorkExceptions)),
    ("exceptionFixLookupValue", Tenant(WorkExceptions)),
    ("exceptionIgnore", Tenant(WorkExceptions)),
    ("exceptionMarkDone", Tenant(WorkExceptions)),
    ("exceptionReopen", Tenant(WorkExceptions)),
    ("exceptionRetry", Tenant(WorkExceptions)),
    ("exceptionSnooze", Tenant(WorkExceptions)),
    ("exceptionTag", Tenant(WorkExceptions)),
    ("flowApprove", PersonOf(Configure)),
    ("flowCreate", Tenant(Configure)),
    ("flowDraft", Tenant(Configure)),
    ("flowGatesSet", Tenant(Configure)),
    ("flowPublish", Tenant(Configure)),
    ("flowReplay", Tenant(Configure)),
    ("flowRetire", Tenant(Configure)),
    ("flowRollBack", Tenant(Configure)),
    ("flowSubmit", Tenant(Configure)),
    ("flowUndoApprove", PersonOf(Configure)),
    ("flowUndoCancel", Tenant(Configure)),
    ("flowUndoPrepare", Tenant(Configure)),
    ("flowWithdraw", Tenant(Configure)),
    ("hookSecretRotate", Tenant(Configure)),
    ("identityProviderRemove", Tenant(ManageMembers)),
    ("identityProviderSet", Tenant(ManageMembers)),
    ("identityProviderTest", Tenant(ManageMembers)),
    ("impersonationBegin", Staff),
    ("impersonationEnd", Tenant(ManageSupport)),
    ("impersonationLeave", StaffAnywhere),
    ("impersonationResume", Staff),
    ("inventoryKeptSet", Tenant(Configure)),
    ("inventoryPolicySet", Tenant(Configure)),
    ("invitationAccept", Anyone),
    ("invitationCreate", Tenant(ManageMembers)),
    ("invitationWithdraw", Tenant(ManageMembers)),
    ("lookupEntriesRemove", Tenant(WorkExceptions)),
    ("lookupEntriesSet", Tenant(WorkExceptions)),
    ("lookupInboxResolve", Tenant(WorkExceptions)),
    ("lookupTableCreate", Tenant(Configure)),
    ("lookupTableDelete", Tenant(Configure)),
    ("lookupTableImport", Tenant(WorkExceptions)),
    ("lookupTableRename", Tenant(Configure)),
    ("lookupTableRollback", Tenant(WorkExceptions)),
    ("matchPolicyRemove", Tenant(Configure)),
    ("matchPolicySet", Tenant(Configure)),
    ("memberRemove", Tenant(ManageMembers)),
    ("memberRoleSet", Tenant(ManageMembers)),
    ("passkeyAsk", Person),
    ("passkeyBegin", Person),
    ("passkeyRegister", Person),
    ("passkeyRemove", Person),
    ("passkeyRename", Person),
    ("passwordChange", Person),
    ("passwordReset", Anyone),
    ("passwordResetAsk", Anyone),
    ("persistedOperationRegister", PersonOf(ManageApiKeys)),
    ("persistedOperationRemove", PersonOf(ManageApiKeys)),
    ("personalDataErase", PersonOf(ManageOwners)),
    ("pollPause", Tenant(Configure)),
    ("pollResume", Tenant(Configure)),
    ("pollSet", Tenant(Configure)),
    ("rateFeedSet", Tenant(Configure)),
    ("reconciliationScheduleSet", Tenant(Configure)),
    ("reconciliationStart", Tenant(WorkExceptions)),
    ("recordDetailsErase", PersonOf(ManageMembers)),
    ("recoveryCodesMake", Person),
    ("rotationBegin", Tenant(Configure)),
    ("rotationCancel", Tenant(Configure)),
    ("rotationRemovalConfirm", Tenant(Configure)),
    ("rotationScheduleSet", Tenant(Configure)),
    ("rotationSecretEnter", Tenant(Configure)),
    ("runAccept", Tenant(Configure)),
    ("scimTokenCreate", Tenant(ManageMembers)),
    ("scimTokenRevoke", Tenant(ManageMembers)),
    ("secondFactorBegin", Person),
    ("secondFactorConfirm", Person),
    ("secondFactorRemove", Person),
    ("serviceAccountChange", Tenant(ManageApiKeys)),
    ("serviceAccountCreate", Tenant(ManageApiKeys)),
    ("serviceAccountEnd", Tenant(ManageApiKeys)),
    ("sessionClose", Person),
    ("sessionOpen", Anyone),
    ("sessionRefresh", Anyone),
    ("sessionRevoke", Person),
    ("sessionRevokeOthers", Person),
    ("signInPolicySet", Tenant(ManageMembers)),
    ("subscriptionCheck", Tenant(Configure)),
    ("supportConsentGive", Tenant(ManageSupport)),
    ("supportConsentWithdraw", Tenant(ManageSupport)),
    ("supportPersonalDataSet", Tenant(ManageSupport)),
    ("supportRequestAnswer", Tenant(ManageSupport)),
    ("supportRequestCreate", Staff),
    ("swapBack", Tenant(Configure)),
    ("swapBegin", Tenant(Configure)),
    ("swapChange", Tenant(Configure)),
    ("swapCut", Tenant(Configure)),
    ("swapDone", Tenant(Configure)),
    ("swapShadow", Tenant(Configure)),
    ("tenantCreate", Person),
    ("tenantDelete", PersonOf(ManageOwners)),
    ("tenantDeleteCancel", PersonOf(ManageOwners)),
];

const SUBSCRIPTIONS: &[(&str, Access)] = &[("changes", Tenant(ReadOperations))];

/// What a person may do in a session that a tenant's provider vouched for: nothing that reaches beyond that tenant, because the provider could be anybody's.
/// What is about a person and not about a tenant is refused there, unless it stands here.
const OF_ANY_SESSION: &[&str] = &["account", "sessionClose", "sessionRevoke", "sessionRevokeOthers", "sessions"];
const OF_A_TENANT: &str = "your company signed you in, for its own tenant; sign in with your password for what is your own";

fn access(root: &str, field: &str) -> Option<Access> {
    let table = match root {
        "Mutation" => MUTATIONS,
        "Subscription" => SUBSCRIPTIONS,
        _ => QUERIES,
    };
    table.iter().find(|(name, _)| *name == field).map(|(_, access)| *access)
}

/// A root type behind the table.
#[derive(Default)]
pub struct Guarded<T>(T);

async fn check(root: &str, ctx: &Context<'_>) -> ServerResult<()> {
    allowed(root, ctx).await.map_err(|error| ctx.set_error_path(error.into_server_error(ctx.item.pos)))
}

async fn allowed(root: &str, ctx: &Context<'_>) -> Result<()> {
    let field = ctx.item.node.name.node.as_str();
    let Some(access) = access(root, field) else {
        return Err(fail(Code::Forbidden, "this operation declares no permission, so nobody may call it"));
    };
    if let Ok(viewer) = viewer(ctx)
        && let Identity::Impersonation(live) = &viewer.identity
    {
        return impersonated(ctx, access, root == "Mutation", live);
    }
    match access {
        Anyone => Ok(()),
        SignedIn => viewer(ctx).map(|_| ()),
        Person if OF_ANY_SESSION.contains(&field) => viewer(ctx)?.person().map(|_| ()),
        Person => own(ctx).await.map(|_| ()),
        Tenant(permission) => scope(ctx, permission).map(|_| ()),
        PersonOf(permission) => scope(ctx, permission).and(viewer(ctx)?.person()).map(|_| ()),
        Staff | StaffAnywhere => staff(ctx).await,
    }
}

/// A person in a session of their own: one that a tenant's provider vouched for is of that tenant and of nothing else.
async fn own(ctx: &Context<'_>) -> Result<UserId> {
    let (user, session) = viewer(ctx)?.person()?;
    if vouched_for(ctx, session).await?.is_some() {
        return Err(fail(Code::Forbidden, OF_A_TENANT));
    }
    Ok(user)
}

/// Whoever asks is staff at this moment, and no tenant's provider says who that is.
async fn staff(ctx: &Context<'_>) -> Result<()> {
    let user = own(ctx).await?;
    if state(ctx).store.is_staff(user).await.map_err(|error| internal(ctx, &error))? {
        return Ok(());
    }
    Err(fail(Code::Forbidden, "this is for the staff of this installation; whoever runs it says who that is"))
}

/// What support may in the place of a tenant: what its consent says there, and nothing in anybody's own name. So it begins no other one, asks for none,
/// and touches no account, key, member or consent.
fn impersonated(ctx: &Context<'_>, access: Access, is_mutation: bool, live: &LiveImpersonation) -> Result<()> {
    match access {
        StaffAnywhere => Ok(()),
        // Whatever it needs: a consent to read is a consent to no mutation at all.
        Tenant(_) if is_mutation && !live.may_write => Err(fail(Code::Forbidden, READ_ONLY_SUPPORT)),
        Tenant(permission) => scope(ctx, permission).map(|_| ()),
        Anyone | SignedIn if !is_mutation => Ok(()),
        Anyone | SignedIn | Person | PersonOf(_) | Staff => Err(fail(Code::Forbidden, NOT_FOR_SUPPORT)),
    }
}

impl<T: ObjectType> ContainerType for Guarded<T> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        check(&T::type_name(), ctx).await?;
        self.0.resolve_field(ctx).await
    }
}

impl<T: ObjectType> OutputType for Guarded<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _field: &Positioned<Field>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl<T: ObjectType> ObjectType for Guarded<T> {}

impl<T: SubscriptionType> SubscriptionType for Guarded<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    fn create_field_stream<'a>(&'a self, ctx: &'a Context<'_>) -> Option<Pin<Box<dyn Stream<Item = Response> + Send + 'a>>> {
        let checked = stream::once(async { check(&T::type_name(), ctx).await });
        Some(Box::pin(checked.flat_map(move |checked| match checked {
            Ok(()) => self.0.create_field_stream(ctx).unwrap_or_else(|| Box::pin(stream::empty())),
            Err(error) => Box::pin(stream::once(async { Response::from_errors(vec![error]) })),
        })))
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_schema;
    use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};

    use super::*;

    #[test]
    fn every_operation_declares_its_permission_once_and_no_other_is_declared() {
        let document = parse_schema(crate::graphql::sdl()).unwrap();
        for (root, table) in [("Query", QUERIES), ("Mutation", MUTATIONS), ("Subscription", SUBSCRIPTIONS)] {
            let fields = document.definitions.iter().find_map(|definition| match definition {
                TypeSystemDefinition::Type(of) if of.node.name.node == root => match &of.node.kind {
                    TypeKind::Object(object) => Some(&object.fields),
                    _ => None,
                },
                _ => None,
            });
            let mut fields: Vec<&str> = fields.unwrap().iter().map(|field| field.node.name.node.as_str()).collect();
            fields.sort_unstable();
            let declared: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            assert_eq!(declared, fields, "{root}: in order of the alphabet");
        }
    }

    #[tokio::test]
    async fn an_operation_that_declares_nothing_is_refused_to_everybody() {
        #[derive(Default)]
        struct Open;
        #[async_graphql::Object(name = "Query")]
        impl Open {
            async fn everything(&self) -> bool {
                true
            }
            async fn viewer(&self) -> bool {
                true
            }
        }
        let schema = async_graphql::Schema::new(
            Guarded::<Open>::default(),
            async_graphql::EmptyMutation,
            async_graphql::EmptySubscription,
        );
        assert!(schema.execute("{ viewer }").await.is_ok());
        for query in
            ["{ everything }", "{ viewer other: everything }", "{ ...F } fragment F on Query { ... on Query { everything } }"]
        {
            let errors = schema.execute(query).await.errors;
            assert!(errors.len() == 1 && errors[0].message.contains("declares no permission"), "{query}: {errors:?}");
        }
    }
}
