//! A consent: a person lets us act for them at a vendor (OAuth 2, authorization code), and we keep what the vendor gives for it. How it ended is told
//! to whoever asked for it in a sentence, with what to do next.

/// From the first step to the last, with a person typing in between.
pub const CONSENT_MINUTES: i64 = 10;
/// Of what a vendor said, characters.
pub const SAID_CHARS_MAX: usize = 300;

/// How a consent ended. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsentEnd {
    /// All that the connector needs was granted.
    Given,
    /// The account is connected, and some of what the connector needs was not granted.
    ScopesMissing,
    /// The person said no.
    Denied,
    /// The vendor did not let the person consent, or took the code for nothing.
    VendorRefused,
    /// The vendor could not be asked for the tokens.
    VendorAway,
    /// The answer was not of the server that the person was sent to.
    NotBelieved,
    /// The person chose another account than the one that is connected.
    OtherAccount,
    /// The credential or the settings were changed while the person was away.
    Changed,
    /// The person was signed out meanwhile, or may not connect accounts any more.
    SignedOut,
    /// What the vendor sent back does not fit the connector's settings.
    Unfit,
    /// Something of ours failed.
    Internal,
}

impl ConsentEnd {
    pub const ALL: [Self; 11] = [
        Self::Given,
        Self::ScopesMissing,
        Self::Denied,
        Self::VendorRefused,
        Self::VendorAway,
        Self::NotBelieved,
        Self::OtherAccount,
        Self::Changed,
        Self::SignedOut,
        Self::Unfit,
        Self::Internal,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::ScopesMissing => "scopes_missing",
            Self::Denied => "denied",
            Self::VendorRefused => "vendor_refused",
            Self::VendorAway => "vendor_away",
            Self::NotBelieved => "not_believed",
            Self::OtherAccount => "other_account",
            Self::Changed => "changed",
            Self::SignedOut => "signed_out",
            Self::Unfit => "unfit",
            Self::Internal => "internal",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == text)
    }

    /// True where the account is connected by it.
    #[must_use]
    pub fn connects(self) -> bool {
        matches!(self, Self::Given | Self::ScopesMissing)
    }

    /// What happened. `title` is the connector's, `said` what is known beside: the vendor's own words, or which account was chosen.
    #[must_use]
    pub fn sentence(self, title: &str, said: &str) -> String {
        let beside = if said.is_empty() { String::new() } else { format!(" ({said})") };
        match self {
            Self::Given => format!("{title} is connected, with everything that is needed."),
            Self::ScopesMissing => format!("{title} is connected, but not everything that is needed was allowed."),
            Self::Denied => format!("Nothing was connected: the consent was refused at {title}{beside}."),
            Self::VendorRefused => format!("Nothing was connected: {title} did not go through with it{beside}."),
            Self::VendorAway => format!("Nothing was connected: {title} could not be asked for its tokens{beside}."),
            Self::NotBelieved => format!("Nothing was connected: the answer did not come from {title}{beside}."),
            Self::OtherAccount => {
                format!("Nothing was changed: another account was chosen at {title} than the one that is connected here{beside}.")
            }
            Self::Changed => {
                "Nothing was connected: the credential or the settings of the connection were changed meanwhile.".to_owned()
            }
            Self::SignedOut => {
                "Nothing was connected: you were signed out meanwhile, or may not connect accounts any more.".to_owned()
            }
            Self::Unfit => format!("Nothing was connected: what {title} sent back does not fit its connector{beside}."),
            Self::Internal => "Nothing was connected: something on our side failed.".to_owned(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next_step(self, title: &str) -> String {
        match self {
            Self::Given => "Nothing to do.".to_owned(),
            Self::ScopesMissing => format!(
                "Connect {title} again and accept all that it asks about; flows that need what is missing fail until then."
            ),
            Self::Denied => format!("Connect {title} again and accept what it asks about, with an account that may do so."),
            Self::VendorRefused => {
                format!(
                    "Compare the client's id and secret, and the address it sends people back to, with those at {title}; then connect again."
                )
            }
            Self::VendorAway | Self::Internal => "Connect again in a few minutes.".to_owned(),
            Self::NotBelieved => {
                "Connect again from here. If it stays, tell your administrator: somebody may have tampered with the way back."
                    .to_owned()
            }
            Self::OtherAccount => {
                format!(
                    "Connect again and choose the account of this connection, or make a new connection for the other one; {title} may keep you signed in to it."
                )
            }
            Self::Changed | Self::SignedOut => "Connect again.".to_owned(),
            Self::Unfit => "Tell whoever keeps the connector; nothing of yours is wrong.".to_owned(),
        }
    }
}

/// What a vendor said, as it is kept and shown: one line of bounded length.
#[must_use]
pub fn said(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(SAID_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_a_word_a_sentence_and_a_next_step() {
        for end in ConsentEnd::ALL {
            assert_eq!(ConsentEnd::parse(end.as_str()), Some(end));
            for text in [end.sentence("Acme", ""), end.sentence("Acme", "why"), end.next_step("Acme")] {
                assert!(text.ends_with('.') && !text.contains("  "), "{text}");
            }
            assert_eq!(end.connects(), !end.sentence("Acme", "").starts_with("Nothing"), "{end:?}");
        }
        assert_eq!(
            ConsentEnd::Denied.sentence("Acme", "access_denied"),
            "Nothing was connected: the consent was refused at Acme (access_denied)."
        );
    }

    #[test]
    fn what_a_vendor_said_stays_one_short_line() {
        assert_eq!(said("a\r\nb"), "ab");
        assert_eq!(said(&"x".repeat(1_000)).chars().count(), SAID_CHARS_MAX);
    }
}
