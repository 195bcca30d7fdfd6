//! A tenant's own identity provider: whom it lets in, as what, and why somebody it vouched for is not let in all the same.

use std::fmt;

use crate::permission::Role;

/// Groups of one provider that give a role.
pub const GROUPS_MAX: usize = 200;
/// As DNS has it.
const DOMAIN_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Which group of the provider gives which role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleTable {
    pub by_group: Vec<(String, Role)>,
    /// Of who is in none of these groups; without one they are not let in.
    pub otherwise: Option<Role>,
}

impl RoleTable {
    /// The role of somebody in these groups: of several the first in the order of [`Role::ALL`], the most powerful.
    #[must_use]
    pub fn role_of(&self, groups: &[String]) -> Option<Role> {
        let given = |role: &Role| self.by_group.iter().any(|(group, gives)| gives == role && groups.contains(group));
        Role::ALL.into_iter().find(given).or(self.otherwise)
    }

    /// True where it makes owners: only an owner may say so, and from then on only an owner changes the provider.
    #[must_use]
    pub fn makes_owners(&self) -> bool {
        self.otherwise == Some(Role::Owner) || self.by_group.iter().any(|(_, role)| *role == Role::Owner)
    }
}

/// The domain of mail addresses, in lower case: `example.com`. A name beneath it is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailDomain(String);

impl EmailDomain {
    /// Reads a name of two labels at least, in ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let fits = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        (text.len() <= DOMAIN_BYTES_MAX && text.contains('.') && text.split('.').all(fits)).then_some(Self(text))
    }

    /// That of an address.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let (local, domain) = address.trim().rsplit_once('@')?;
        Self::parse(domain).filter(|_| !local.is_empty())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a sign-in by the provider was refused. The words stand in addresses and in the audit log, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No tenant of this name or address has a provider, or more than one has.
    Unknown,
    TooMany,
    /// The sign-in was begun elsewhere, was ended already, or took too long.
    NotBegunHere,
    /// The person, or the provider for them, said no.
    Denied,
    /// The provider answered with an error of its own.
    ProviderFailed,
    /// It does not answer, or not as the standard says.
    ProviderAway,
    /// It does not know us, or our secret.
    ClientRefused,
    /// What it says about the person is not signed, not meant for us, or not of this sign-in.
    NotBelieved,
    /// It gave no address, or one that it does not vouch for.
    EmailNotVerified,
    /// No group of theirs gives a role.
    NoRole,
    /// The address has an account, and the tenant has not proven its domain.
    DomainNotProven,
    /// They are an owner, and the provider makes none.
    Owner,
    /// They are the last owner, and would be one no more.
    LastOwner,
    /// The tenant's directory says that they are gone (SCIM).
    Inactive,
    /// The provider was set anew meanwhile.
    Changed,
    /// Something on our side failed.
    Internal,
}

impl Refusal {
    pub const ALL: [Self; 16] = [
        Self::Unknown,
        Self::TooMany,
        Self::NotBegunHere,
        Self::Denied,
        Self::ProviderFailed,
        Self::ProviderAway,
        Self::ClientRefused,
        Self::NotBelieved,
        Self::EmailNotVerified,
        Self::NoRole,
        Self::DomainNotProven,
        Self::Owner,
        Self::LastOwner,
        Self::Inactive,
        Self::Changed,
        Self::Internal,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::TooMany => "too_many",
            Self::NotBegunHere => "not_begun_here",
            Self::Denied => "denied",
            Self::ProviderFailed => "provider_failed",
            Self::ProviderAway => "provider_away",
            Self::ClientRefused => "client_refused",
            Self::NotBelieved => "not_believed",
            Self::EmailNotVerified => "email_not_verified",
            Self::NoRole => "no_role",
            Self::DomainNotProven => "domain_not_proven",
            Self::Owner => "owner",
            Self::LastOwner => "last_owner",
            Self::Inactive => "inactive",
            Self::Changed => "changed",
            Self::Internal => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_powerful_group_counts_and_who_is_in_none_gets_the_default_or_nothing() {
        let by_group =
            vec![("ops".to_owned(), Role::Operator), ("audit".to_owned(), Role::Auditor), ("it".to_owned(), Role::Admin)];
        let mut table = RoleTable { by_group, otherwise: None };
        let role = |table: &RoleTable, groups: &[&str]| {
            table.role_of(&groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>())
        };
        for (groups, expected) in [
            (&["ops"][..], Some(Role::Operator)),
            (&["audit", "it", "ops"], Some(Role::Admin)),
            (&["Ops", "op", "everyone"], None),
            (&[], None),
        ] {
            assert_eq!(role(&table, groups), expected, "{groups:?}");
        }
        table.otherwise = Some(Role::Billing);
        assert_eq!((role(&table, &[]), role(&table, &["audit"])), (Some(Role::Billing), Some(Role::Auditor)));
        assert!(!table.makes_owners());
        table.otherwise = Some(Role::Owner);
        assert!(table.makes_owners());
    }

    #[test]
    fn a_domain_is_a_name_of_two_labels_and_an_address_has_one() {
        for (text, expected) in [
            (" Example.COM ", Some("example.com")),
            ("a-b.co.uk", Some("a-b.co.uk")),
            ("localhost", None),
            ("-a.com", None),
            ("a..com", None),
            ("a.com.", None),
            ("exämple.com", None),
            ("a@b.com", None),
            ("", None),
        ] {
            assert_eq!(EmailDomain::parse(text).as_ref().map(EmailDomain::as_str), expected, "{text}");
        }
        assert_eq!(EmailDomain::of("\"a@b\"@Example.com").unwrap().as_str(), "example.com");
        assert_eq!((EmailDomain::of("@example.com"), EmailDomain::of("example.com")), (None, None));
    }

    #[test]
    fn every_refusal_has_a_word_of_its_own() {
        let words: std::collections::HashSet<&str> = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
        assert_eq!(words.len(), Refusal::ALL.len());
    }
}
