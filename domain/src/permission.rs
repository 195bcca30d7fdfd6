//! Who may do what: one table of permissions, one row for each. A member has those of their role, an API key those it was made with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A member's place in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Owner,
    Admin,
    Operator,
    Developer,
    Auditor,
    Billing,
}

/// What somebody may do. The words are stored with API keys, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See flows, records, deliveries, exceptions, connections (never secrets).
    ReadOperations,
    /// See the audit log.
    ReadAudit,
    /// See what is billed.
    ReadUsage,
    /// Retry and ignore exceptions, edit lookup tables.
    WorkExceptions,
    /// Create and change connections, flows and lookup tables; publish.
    Configure,
    /// Remove members, give them roles.
    ManageMembers,
    /// Make another an owner, or take that away.
    ManageOwners,
    /// Make, rotate and revoke API keys.
    ManageApiKeys,
    /// Let support in, and end what it does.
    ManageSupport,
    /// Read the schema of the API itself (introspection).
    ReadSchema,
    /// See what tells of a person in records and payloads ([`crate::personal`]); without it that is hidden.
    ReadPersonalData,
    /// See what the tenant pays: its plan and its invoices.
    ReadInvoices,
}

/// One row: a permission, the roles that have it, and whether an API key may be given it.
struct Row(Permission, &'static [Role], bool);

/// The table. What an API key may not have would let it outlive whoever made it: members, owners and other keys.
static TABLE: [Row; 12] = {
    use Permission::*;
    use Role::*;
    [
        Row(ReadOperations, &[Owner, Admin, Operator, Developer, Auditor], true),
        Row(ReadAudit, &[Owner, Admin, Auditor], true),
        Row(ReadUsage, &[Owner, Admin, Operator, Developer, Auditor, Billing], true),
        Row(WorkExceptions, &[Owner, Admin, Operator, Developer], true),
        Row(Configure, &[Owner, Admin, Developer], true),
        Row(ManageMembers, &[Owner, Admin], false),
        Row(ManageOwners, &[Owner], false),
        Row(ManageApiKeys, &[Owner, Admin], false),
        Row(ManageSupport, &[Owner, Admin], false),
        // Whoever builds on the API; it is no secret, and a map for whoever looks for a way in.
        Row(ReadSchema, &[Owner, Admin, Developer], true),
        // Who answers a buyer needs the name. Who maps fields, checks the log or pays the bill does not.
        Row(ReadPersonalData, &[Owner, Admin, Operator], true),
        // What is paid is for who decides, who pays and who checks; who works orders sees what is counted.
        Row(ReadInvoices, &[Owner, Admin, Auditor, Billing], true),
    ]
};

impl Permission {
    pub const ALL: [Permission; 12] = {
        use Permission::*;
        [
            ReadOperations,
            ReadAudit,
            ReadUsage,
            WorkExceptions,
            Configure,
            ManageMembers,
            ManageOwners,
            ManageApiKeys,
            ManageSupport,
            ReadSchema,
            ReadPersonalData,
            ReadInvoices,
        ]
    };

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.0 == self)
    }

    /// The roles that have it, the most powerful first.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        self.row().map_or(&[], |row| row.1)
    }

    /// True where an API key may have it.
    #[must_use]
    pub fn is_for_api_keys(self) -> bool {
        self.row().is_some_and(|row| row.2)
    }

    /// True where whoever has it changes nothing by it.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::ReadOperations
                | Self::ReadAudit
                | Self::ReadUsage
                | Self::ReadSchema
                | Self::ReadPersonalData
                | Self::ReadInvoices
        )
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOperations => "read_operations",
            Self::ReadAudit => "read_audit",
            Self::ReadUsage => "read_usage",
            Self::WorkExceptions => "work_exceptions",
            Self::Configure => "configure",
            Self::ManageMembers => "manage_members",
            Self::ManageOwners => "manage_owners",
            Self::ManageApiKeys => "manage_api_keys",
            Self::ManageSupport => "manage_support",
            Self::ReadSchema => "read_schema",
            Self::ReadPersonalData => "read_personal_data",
            Self::ReadInvoices => "read_invoices",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == text)
    }
}

impl Role {
    pub const ALL: [Role; 6] = [Role::Owner, Role::Admin, Role::Operator, Role::Developer, Role::Auditor, Role::Billing];

    /// True where the table says so.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        permission.roles().contains(&self)
    }

    /// All that the table gives.
    pub fn permissions(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.may(*permission))
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Developer => "developer",
            Role::Auditor => "auditor",
            Role::Billing => "billing",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_one_row_one_word_and_an_owner() {
        for permission in Permission::ALL {
            assert_eq!(TABLE.iter().filter(|row| row.0 == permission).count(), 1, "{permission:?}");
            assert_eq!(Permission::parse(permission.as_str()), Some(permission));
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.as_str());
            assert!(Role::Owner.may(permission), "{permission:?}");
        }
        assert_eq!(Permission::parse("everything"), None);
    }

    #[test]
    fn an_auditor_changes_nothing_and_billing_sees_what_is_billed_only() {
        use Permission::*;
        assert_eq!(Role::Auditor.permissions().collect::<Vec<_>>(), [ReadOperations, ReadAudit, ReadUsage, ReadInvoices]);
        assert_eq!(Role::Billing.permissions().collect::<Vec<_>>(), [ReadUsage, ReadInvoices]);
        let of_owners = Permission::ALL.into_iter().filter(|permission| permission.roles() == [Role::Owner]);
        assert_eq!(of_owners.collect::<Vec<_>>(), [ManageOwners], "an admin may all the rest");
    }
}
