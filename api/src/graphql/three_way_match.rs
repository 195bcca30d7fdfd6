//! Order to cash: which comparisons of orders, shipments and invoices a tenant wants. What they find are exceptions.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use domain::scope::Permission;
use domain::three_way_match::MatchPolicy;
use domain::value::decimal;

use super::error::{UserError, UserErrorCode, within};

/// What is compared, and what is let pass. Numbers are decimals as text.
#[derive(SimpleObject)]
#[graphql(name = "MatchPolicy")]
struct MatchPolicyNode {
    /// An invoice comes after its goods: what is billed and not shipped is a mismatch.
    bills_after_shipping: bool,
    /// How much of a quantity may be shipped or billed beyond it, percent from 0 to 100.
    quantity_percent: String,
    /// How far a price or a total may be off, in the order's currency,
    amount: String,
    /// or in percent of it, from 0 to 100; the larger of both counts.
    amount_percent: String,
    /// What was shipped is billed within so many days; null where nobody waits for that.
    bill_within_days: Option<u32>,
}

impl From<MatchPolicy> for MatchPolicyNode {
    fn from(policy: MatchPolicy) -> Self {
        Self {
            bills_after_shipping: policy.bills_after_shipping,
            quantity_percent: policy.quantity_percent.to_string(),
            amount: policy.amount.to_string(),
            amount_percent: policy.amount_percent.to_string(),
            bill_within_days: policy.bill_within_days,
        }
    }
}

/// Numbers are decimals as text. What is left out: bills after shipping, a cent, no percent.
#[derive(InputObject)]
struct MatchPolicyInput {
    bills_after_shipping: Option<bool>,
    quantity_percent: Option<String>,
    amount: Option<String>,
    amount_percent: Option<String>,
    /// From 1 to 365.
    bill_within_days: Option<u32>,
}

impl MatchPolicyInput {
    fn read(&self) -> std::result::Result<MatchPolicy, UserError> {
        let invalid = |field: &str, sentence: &str| UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, sentence);
        let mut policy = MatchPolicy::default();
        let numbers = [
            ("quantityPercent", &self.quantity_percent, &mut policy.quantity_percent),
            ("amount", &self.amount, &mut policy.amount),
            ("amountPercent", &self.amount_percent, &mut policy.amount_percent),
        ];
        for (field, text, number) in numbers {
            if let Some(text) = text {
                *number = decimal(text).ok_or_else(|| invalid(field, "a number is written like 2.5"))?;
            }
        }
        policy.bill_within_days = self.bill_within_days;
        policy.bills_after_shipping = self.bills_after_shipping.unwrap_or(policy.bills_after_shipping);
        match policy.fault() {
            Some((field, sentence)) => Err(invalid(field, sentence)),
            None => Ok(policy),
        }
    }
}

#[derive(SimpleObject)]
struct MatchPolicyPayload {
    match_policy: Option<MatchPolicyNode>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct MatchPolicyRemovePayload {
    done: bool,
    /// Exceptions that it had found and that are closed now.
    resolved: i32,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct MatchPolicyQuery;

#[Object]
impl MatchPolicyQuery {
    /// How orders are compared with their shipments and invoices; null where they are not.
    async fn match_policy(&self, ctx: &Context<'_>) -> Result<Option<MatchPolicyNode>> {
        let policy = within(ctx, Permission::ReadOperations, async |store| store.match_policy().await).await?;
        Ok(policy.map(MatchPolicyNode::from))
    }
}

#[derive(Default)]
pub struct MatchPolicyMutation;

#[Object]
impl MatchPolicyMutation {
    /// Compares orders with their shipments and invoices from now on, and those of the last 30 days, at most 10,000 shipments and invoices.
    async fn match_policy_set(&self, ctx: &Context<'_>, input: MatchPolicyInput) -> Result<MatchPolicyPayload> {
        let policy = match input.read() {
            Ok(policy) => policy,
            Err(error) => return Ok(MatchPolicyPayload { match_policy: None, user_errors: vec![error] }),
        };
        within(ctx, Permission::Configure, async |store| store.match_policy_set(&policy).await).await?;
        Ok(MatchPolicyPayload { match_policy: Some(policy.into()), user_errors: vec![] })
    }

    /// Compares orders with nothing any more, and closes the exceptions that it had found and that are open.
    async fn match_policy_remove(&self, ctx: &Context<'_>) -> Result<MatchPolicyRemovePayload> {
        let resolved = within(ctx, Permission::Configure, async |store| store.match_policy_remove().await).await?;
        Ok(match resolved {
            Some(count) => {
                MatchPolicyRemovePayload { done: true, resolved: i32::try_from(count).unwrap_or(i32::MAX), user_errors: vec![] }
            }
            None => {
                let none = UserError::new("", UserErrorCode::NotFound, "orders are not compared; there is nothing to take away");
                MatchPolicyRemovePayload { done: false, resolved: 0, user_errors: vec![none] }
            }
        })
    }
}
