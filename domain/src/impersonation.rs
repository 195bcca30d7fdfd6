//! Support in the place of a tenant: by somebody of the staff, for a reason and a ticket, with the tenant's consent and for an hour at most.
//! What it may is said here; that it is still good is asked of the database with each request.

use crate::permission::{Permission, Role};

/// From its beginning to its end, which nobody moves.
pub const MINUTES_MAX: i32 = 60;
pub const REASON_CHARS_MAX: usize = 500;
pub const TICKET_CHARS_MAX: usize = 100;

/// What an impersonation may: what an operator of the tenant reads, and, where the tenant has allowed that, what an operator writes. What tells of a person
/// it sees only where the tenant shows it to support.
#[must_use]
pub fn may(permission: Permission, may_write: bool, sees_personal: bool) -> bool {
    Role::Operator.may(permission)
        && (may_write || permission.is_read_only())
        && (sees_personal || permission != Permission::ReadPersonalData)
}

/// What is wrong with a reason or a ticket. One that looks like an id could pass for somebody in the audit log.
///
/// # Errors
/// The field, and a sentence.
pub fn check(reason: &str, ticket: &str) -> Result<(), (&'static str, String)> {
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        return Err(("reason", format!("say why, in 1 to {REASON_CHARS_MAX} characters: the tenant reads it")));
    }
    if !(1..=TICKET_CHARS_MAX).contains(&ticket.chars().count()) {
        return Err(("ticket", format!("name the ticket that this is for, in 1 to {TICKET_CHARS_MAX} characters")));
    }
    if is_id(ticket) {
        return Err(("ticket", "this is an id of Crossdock; name the ticket as your help desk does".to_owned()));
    }
    Ok(())
}

/// True of what looks like an id of ours.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.split_once('_').is_some_and(|(prefix, hex)| {
        prefix.len() == 3
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
            && hex.len() == 32
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

    #[test]
    fn support_reads_as_an_operator_and_writes_as_one_only_where_it_was_allowed() {
        use Permission::*;
        let of = |may_write, sees_personal| {
            Permission::ALL.into_iter().filter(move |permission| may(*permission, may_write, sees_personal)).collect::<Vec<_>>()
        };
        assert_eq!(of(false, false), [ReadOperations, ReadUsage]);
        assert_eq!(of(true, false), [ReadOperations, ReadUsage, WorkExceptions]);
        assert_eq!(of(false, true), [ReadOperations, ReadUsage, ReadPersonalData]);
    }

    #[test]
    fn a_reason_and_a_ticket_are_said_and_neither_passes_for_somebody() {
        assert_eq!(check("Orders of yesterday are missing", "HELP-1042"), Ok(()));
        let field = |reason: &str, ticket: &str| check(reason, ticket).map_err(|(field, _)| field);
        assert_eq!(field("", "HELP-1042"), Err("reason"));
        assert_eq!(field(&"x".repeat(501), "HELP-1042"), Err("reason"));
        assert_eq!(field(&"ä".repeat(500), &"ä".repeat(100)), Ok(()));
        assert_eq!(field("why", ""), Err("ticket"));
        assert_eq!(field("why", &"x".repeat(101)), Err("ticket"));
        assert_eq!(field("why", &UserId::generate().to_string()), Err("ticket"));
    }
}
