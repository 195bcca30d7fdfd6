//! A look at a provider before anybody depends on it: what is wrong, in plain words. Nobody is signed in by it.

use domain::secret::SecretString;
use infra::postgres::identity_provider::Provider;

use super::provider::{Client, Code, ProviderError};
use super::{Sso, redirect_uri};

/// No code is that; whether it is refused as a code, or we as a client, is what is asked.
const NO_CODE: &str = "crossdock-connection-check";

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Discovery,
    Keys,
    Client,
    Groups,
    Email,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Result {
    Good,
    Wrong,
    /// Only a sign-in can tell.
    Unknown,
}

/// What was found.
#[derive(Debug)]
pub struct Finding {
    pub step: Step,
    pub result: Result,
    /// For a person.
    pub sentence: String,
}

/// Looks at each step, until one that the others need is wrong.
pub async fn check(sso: &Sso, public_url: &str, provider: &Provider, secret: &SecretString) -> Vec<Finding> {
    let finding = |step, result, sentence: String| Finding { step, result, sentence };
    let issuer = &provider.issuer;
    let metadata = match sso.providers.discover(issuer).await {
        Ok(metadata) => metadata,
        Err(error) => return vec![finding(Step::Discovery, Result::Wrong, format!("{issuer} cannot be used: {error}"))],
    };
    let mut found = vec![finding(Step::Discovery, Result::Good, format!("{issuer} was found and says what is needed"))];
    found.push(match sso.providers.keys_now(&metadata).await {
        Ok(keys) if keys.is_empty() => {
            let sentence = "it lists no key that we take: RS256, ES256 or EdDSA; set one of them up for this client";
            finding(Step::Keys, Result::Wrong, sentence.to_owned())
        }
        Ok(keys) => finding(Step::Keys, Result::Good, format!("it signs with keys that we take ({} of them)", keys.len())),
        Err(error) => finding(Step::Keys, Result::Wrong, format!("its keys cannot be read: {error}")),
    });
    let redirect_uri = redirect_uri(public_url);
    let client = Client { id: &provider.client_id, secret };
    let code = Code { code: NO_CODE, verifier: NO_CODE, redirect_uri: &redirect_uri };
    found.push(match sso.providers.tokens(&metadata, &client, &code).await {
        Err(ProviderError::Grant { said }) if said.starts_with("invalid_grant") => {
            let sentence =
                format!("it knows this client and its secret; {redirect_uri} must be among the client's redirect addresses");
            finding(Step::Client, Result::Good, sentence)
        }
        Err(ProviderError::Client { said }) => {
            let sentence = format!("it refuses the client: check the client id and the secret (it says \"{said}\")");
            finding(Step::Client, Result::Wrong, sentence)
        }
        Err(ProviderError::Grant { said }) => {
            finding(Step::Client, Result::Unknown, format!("whether it takes the client is not certain: it says \"{said}\""))
        }
        Err(error) => finding(Step::Client, Result::Wrong, format!("no code could be traded: {error}")),
        Ok(_) => finding(Step::Client, Result::Wrong, "it gives tokens for a code that it never made".to_owned()),
    });
    let lists = |claim: &str| metadata.claims_supported.as_ref().map(|all| all.iter().any(|one| one == claim));
    let top = provider
        .groups_claim
        .strip_prefix('/')
        .map_or(provider.groups_claim.as_str(), |path| path.split('/').next().unwrap_or_default());
    found.push(match lists(top) {
        Some(true) => finding(Step::Groups, Result::Good, format!("it lists the claim \"{top}\"")),
        Some(false) => {
            let sentence = format!(
                "there is no groups claim \"{top}\" among the claims that it lists; where it does not send one all the same, only the default role is given"
            );
            finding(Step::Groups, Result::Wrong, sentence)
        }
        None => finding(Step::Groups, Result::Unknown, format!("it does not say whether it sends \"{top}\"; the first sign-in shows it")),
    });
    found.push(match lists("email_verified") {
        Some(true) => finding(Step::Email, Result::Good, "it says of addresses whether they are verified".to_owned()),
        _ => {
            let sentence = "it does not say whether it vouches for addresses (email_verified); without that nobody is let in";
            finding(Step::Email, Result::Unknown, sentence.to_owned())
        }
    });
    found
}
