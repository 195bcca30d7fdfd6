//! Signs a request as the manifest says, a file for each kind. Time and nonce come in as values, so a signature is a pure function.

mod code;
mod jwt;
mod oauth1;
mod oauth2;
mod session;
pub(crate) mod sign;
mod sigv4;
mod token;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use domain::http::{ClientIdentity, HttpRequest, Identity, Login};
use domain::secret::{ExposeSecret, SecretString};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::utf8_percent_encode;
use sha2::Sha256;
use url::Url;

pub use code::{Callback, CallbackError, OauthScope, Pkce, callback_state, is_same_state};
pub use token::TokenSet;

use crate::hex::unhex;
use crate::manifest::{ApiKey, Auth, KeyEncoding, MutualTls, Oauth2, SendToken, Session, Sftp};
use crate::request::{RequestContext, RequestError};
use crate::template::ENCODED;

/// The kinds that first ask the vendor for something, which then goes with every request.
pub(crate) enum Stateful<'m> {
    Oauth2(&'m Oauth2),
    Session(&'m Session),
}

pub(crate) fn stateful(auth: &Auth) -> Option<Stateful<'_>> {
    match auth {
        Auth::Oauth2(oauth2) => Some(Stateful::Oauth2(oauth2)),
        Auth::Session(session) => Some(Stateful::Session(session)),
        Auth::MutualTls(tls) => tls.with.as_deref().and_then(stateful),
        _ => None,
    }
}

pub(crate) fn sign(auth: &Auth, request: &mut HttpRequest, context: &RequestContext<'_>) -> Result<(), RequestError> {
    match auth {
        Auth::None => Ok(()),
        Auth::ApiKey(key) => api_key(key, request, context),
        Auth::Bearer { secret } => put_header(request, "Authorization", format!("Bearer {}", context.secret(secret)?)),
        Auth::Basic { user, password } => {
            // Some vendors want one part only, so an empty one is as good as any; one that was never stored is not.
            let part = |field: &Option<String>| match field {
                None => Ok(""),
                Some(field) => {
                    let secret = context.credential.get(field).map(ExposeSecret::expose_secret);
                    secret.ok_or_else(|| RequestError::Secret(field.clone()))
                }
            };
            let pair = format!("{}:{}", part(user)?, part(password)?);
            put_header(request, "Authorization", format!("Basic {}", STANDARD.encode(pair)))
        }
        Auth::Oauth1(oauth1) => oauth1::sign(oauth1, request, context),
        Auth::Oauth2(oauth2) => send_token(&oauth2.send, request, context.token.ok_or(RequestError::NoToken)?),
        Auth::Jwt(assertion) => {
            let url = parse_url(request)?;
            let token = jwt::make(assertion, context, &|name| sign::find(name, request, &url))?;
            put_header(request, &assertion.send.header, format!("{}{token}", assertion.send.prefix))
        }
        Auth::Sigv4(sigv4) => sigv4::sign(sigv4, request, context),
        Auth::Sign(steps) => sign::sign(steps, request, context),
        Auth::Session(session) => send_token(&session.send, request, context.token.ok_or(RequestError::NoToken)?),
        Auth::MutualTls(tls) => {
            request.identity = Some(Identity::Certificate(identity(tls, context)?));
            tls.with.as_deref().map_or(Ok(()), |with| sign(with, request, context))
        }
        Auth::Sftp(sftp) => {
            request.identity = Some(Identity::Login(Box::new(login(sftp, context)?)));
            Ok(())
        }
    }
}

fn api_key(key: &ApiKey, request: &mut HttpRequest, context: &RequestContext<'_>) -> Result<(), RequestError> {
    let value = format!("{}{}", key.prefix, context.secret(&key.secret)?);
    if let Some(name) = &key.query {
        put_query(request, name, &value);
    }
    match &key.header {
        Some(name) => put_header(request, name, value),
        None => Ok(()),
    }
}

/// The access token, where there is one, and the cookies of a session.
fn send_token(send: &SendToken, request: &mut HttpRequest, token: &TokenSet) -> Result<(), RequestError> {
    let access_token = token.access_token.expose_secret();
    if !access_token.is_empty() {
        put_header(request, &send.header, format!("{}{access_token}", send.prefix))?;
    }
    if token.cookies.is_empty() {
        return Ok(());
    }
    let own = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("cookie")).map(|(_, value)| value.clone());
    let cookies = token.cookies.iter().map(|(name, value)| format!("{name}={}", value.expose_secret()));
    let all: Vec<String> = own.into_iter().chain(cookies).collect();
    put_header(request, "Cookie", all.join("; "))
}

/// The client certificate that goes with every request, those for tokens included.
pub(crate) fn identity_of(auth: &Auth, context: &RequestContext<'_>) -> Result<Option<Identity>, RequestError> {
    match auth {
        Auth::MutualTls(tls) => identity(tls, context).map(|identity| Some(Identity::Certificate(identity))),
        _ => Ok(None),
    }
}

fn identity(tls: &MutualTls, context: &RequestContext<'_>) -> Result<ClientIdentity, RequestError> {
    let pem = |field: &String| context.secret(field).map(|text| SecretString::from(pem(text)));
    Ok(ClientIdentity { chain: pem(&tls.certificate)?, key: pem(&tls.key)? })
}

/// Who signs in to a file server. A folder of our own machine needs none of it, so what was never stored is left out; the door says what it lacks.
pub(crate) fn login(sftp: &Sftp, context: &RequestContext<'_>) -> Result<Login, RequestError> {
    let secret = |field: &Option<String>| field.as_ref().and_then(|field| context.secret(field).ok());
    Ok(Login {
        user: context.fill_known(&sftp.user)?,
        password: secret(&sftp.password).map(SecretString::from),
        key: secret(&sftp.key).map(|text| SecretString::from(pem(text))),
        passphrase: secret(&sftp.passphrase).map(SecretString::from),
        host_key: context.fill_known(&sftp.host_key)?,
    })
}

/// A key that was copied out of JSON has `\n` for its line breaks.
fn pem(text: &str) -> String {
    text.trim().replace("\\n", "\n") + "\n"
}

/// In place of one of the same name.
fn put_header(request: &mut HttpRequest, name: &str, value: String) -> Result<(), RequestError> {
    // RFC 9110 section 5.5: a line break in a secret would end the header and begin another.
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(RequestError::Header(name.to_owned()));
    }
    request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    request.headers.push((name.to_owned(), value));
    Ok(())
}

fn put_query(request: &mut HttpRequest, name: &str, value: &str) {
    let separator = if request.url.contains('?') { '&' } else { '?' };
    request.url.push_str(&format!("{separator}{}={}", encode(name), encode(value)));
}

/// The address as the HTTP client will send it, which is what must be signed.
fn parse_url(request: &HttpRequest) -> Result<Url, RequestError> {
    let mut url = Url::parse(&request.url).map_err(|error| RequestError::Url(error.to_string()))?;
    url.set_fragment(None);
    Ok(url)
}

/// RFC 3986: all but the unreserved characters.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The pairs of the query, encoded alike and in order.
fn sorted_query(url: &Url) -> String {
    let mut pairs: Vec<(String, String)> = url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))).collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A key as it is written, in bytes; `None` where it is not written so. `base64` says how strictly that is read.
pub(crate) fn key_bytes(text: &str, encoding: KeyEncoding, base64: &GeneralPurpose) -> Option<Vec<u8>> {
    use unicode_normalization::UnicodeNormalization as _;
    match encoding {
        KeyEncoding::Text => Some(text.as_bytes().to_vec()),
        KeyEncoding::Nfkd => Some(text.nfkd().collect::<String>().into_bytes()),
        KeyEncoding::Base64 => base64.decode(text.trim()).ok(),
        KeyEncoding::Hex => unhex(text.trim()),
    }
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
