//! Components that say who asks.

use serde::Deserialize;

use super::{Json, RequestOption, Requester, Text};

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names are the format's")]
pub(crate) enum Authenticator {
    NoAuth {},
    ApiKeyAuthenticator {
        #[serde(default)]
        api_token: Option<Text>,
        #[serde(default)]
        header: Option<Text>,
        #[serde(default)]
        inject_into: Option<RequestOption>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    BearerAuthenticator {
        api_token: Text,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    BasicHttpAuthenticator {
        username: Text,
        #[serde(default)]
        password: Option<Text>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    OAuthAuthenticator(Box<OAuth>),
    SessionTokenAuthenticator(Box<SessionToken>),
    LegacySessionTokenAuthenticator(Box<LegacySession>),
    SelectiveAuthenticator {
        authenticator_selection_path: Vec<Text>,
        authenticators: std::collections::BTreeMap<String, Authenticator>,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OAuth {
    #[serde(default)]
    pub(crate) token_refresh_endpoint: Option<Text>,
    #[serde(default)]
    pub(crate) client_id_name: Option<Text>,
    #[serde(default)]
    pub(crate) client_id: Option<Text>,
    #[serde(default)]
    pub(crate) client_secret_name: Option<Text>,
    #[serde(default)]
    pub(crate) client_secret: Option<Text>,
    #[serde(default)]
    pub(crate) refresh_token_name: Option<Text>,
    #[serde(default)]
    pub(crate) refresh_token: Option<Text>,
    #[serde(default)]
    pub(crate) access_token_name: Option<Text>,
    #[serde(default)]
    pub(crate) access_token_value: Option<Text>,
    #[serde(default)]
    pub(crate) expires_in_name: Option<Text>,
    #[serde(default)]
    pub(crate) grant_type_name: Option<Text>,
    #[serde(default)]
    pub(crate) grant_type: Option<Text>,
    #[serde(default)]
    pub(crate) refresh_request_body: Option<Json>,
    #[serde(default)]
    pub(crate) refresh_request_headers: Option<Json>,
    #[serde(default)]
    pub(crate) send_refresh_request_as_query_params: Option<bool>,
    #[serde(default)]
    pub(crate) scopes: Option<Vec<String>>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SessionToken {
    pub(crate) login_requester: Requester,
    pub(crate) session_token_path: Vec<Text>,
    #[serde(default)]
    pub(crate) expiration_duration: Option<String>,
    pub(crate) request_authentication: SessionUse,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum SessionUse {
    Bearer {},
    ApiKey {
        inject_into: RequestOption,
        #[serde(default)]
        api_token: Option<Text>,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LegacySession {
    pub(crate) header: Text,
    pub(crate) login_url: Text,
    pub(crate) validate_session_url: Text,
    pub(crate) session_token_response_key: Text,
    #[serde(default)]
    pub(crate) session_token: Option<Text>,
    #[serde(default)]
    pub(crate) username: Option<Text>,
    #[serde(default)]
    pub(crate) password: Option<Text>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}
