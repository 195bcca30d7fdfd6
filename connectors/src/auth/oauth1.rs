//! OAuth 1.0a with HMAC (RFC 5849 section 3.4). The realm is not signed; a JSON body is not signed, a form is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::http::HttpRequest;
use hmac::{Hmac, KeyInit, Mac};
use url::{Url, form_urlencoded};

use super::{encode, hmac_sha256, parse_url, put_header, put_query};
use crate::manifest::{Oauth1, Oauth1Method, Oauth1Place};
use crate::request::{RequestContext, RequestError};

pub(super) fn sign(oauth1: &Oauth1, request: &mut HttpRequest, context: &RequestContext<'_>) -> Result<(), RequestError> {
    let url = parse_url(request)?;
    let secret = |field: &Option<String>| field.as_deref().map_or(Ok(""), |field| context.secret(field));
    let timestamp = context.now.timestamp().to_string();
    let mut own = vec![
        ("oauth_consumer_key", context.secret(&oauth1.consumer_key)?),
        ("oauth_nonce", context.nonce),
        ("oauth_signature_method", method_name(oauth1.method)),
        ("oauth_timestamp", &timestamp),
    ];
    if oauth1.token.is_some() {
        own.push(("oauth_token", secret(&oauth1.token)?));
    }
    own.push(("oauth_version", "1.0"));
    let base = base_string(&own, request, &url);
    let key = format!("{}&{}", encode(context.secret(&oauth1.consumer_secret)?), encode(secret(&oauth1.token_secret)?));
    let signature = match oauth1.method {
        Oauth1Method::HmacSha256 => STANDARD.encode(hmac_sha256(key.as_bytes(), base.as_bytes())),
        Oauth1Method::HmacSha1 => {
            let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
            mac.update(base.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        }
    };
    request.url = url.into();
    let signed = own.into_iter().chain([("oauth_signature", signature.as_str())]);
    match oauth1.place {
        Oauth1Place::Query => {
            signed.for_each(|(name, value)| put_query(request, name, value));
            Ok(())
        }
        Oauth1Place::Header => {
            let realm =
                oauth1.realm.as_deref().map(|realm| context.fill(realm, false)).transpose()?.filter(|realm| !realm.is_empty());
            let realm = realm.map(|realm| format!("realm=\"{}\"", encode(&realm)));
            let parts = realm.into_iter().chain(signed.map(|(name, value)| format!("{name}=\"{}\"", encode(value))));
            put_header(request, "Authorization", format!("OAuth {}", parts.collect::<Vec<_>>().join(", ")))
        }
    }
}

fn method_name(method: Oauth1Method) -> &'static str {
    match method {
        Oauth1Method::HmacSha256 => "HMAC-SHA256",
        Oauth1Method::HmacSha1 => "HMAC-SHA1",
    }
}

/// Section 3.4.1: the method, the address without its query, and all parameters, sorted: ours, those of the address and those of a form.
fn base_string(own: &[(&str, &str)], request: &HttpRequest, url: &Url) -> String {
    let mut parameters: Vec<(String, String)> = own.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    parameters.extend(url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))));
    if is_form(request) {
        let form = form_urlencoded::parse(&request.body);
        parameters.extend(form.map(|(name, value)| (encode(&name), encode(&value))));
    }
    parameters.sort_unstable();
    let parameters: Vec<String> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let place = format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
    format!("{}&{}&{}", request.method.as_str(), encode(&place), encode(&parameters.join("&")))
}

fn is_form(request: &HttpRequest) -> bool {
    let kind =
        request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.as_str());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
