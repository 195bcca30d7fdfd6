//! Signs a request as the manifest says. Time and nonce come in as values, so a signature is a pure function.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::http::HttpRequest;
use domain::secret::ExposeSecret;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::utf8_percent_encode;
use sha2::Sha256;

use crate::manifest::Auth;
use crate::request::{RequestContext, RequestError};
use crate::template::ENCODED;

pub(crate) fn sign(auth: &Auth, request: &mut HttpRequest, context: &RequestContext<'_>) -> Result<(), RequestError> {
    let secret = |name: &str| {
        context.credential.get(name).map(|s| s.expose_secret().to_owned()).ok_or_else(|| RequestError::Secret(name.to_owned()))
    };
    let (name, value) = match auth {
        Auth::None => return Ok(()),
        Auth::ApiKey(key) => (key.header.clone().unwrap_or_default(), format!("{}{}", key.prefix, secret(&key.secret)?)),
        Auth::Bearer { secret: field } => ("Authorization".to_owned(), format!("Bearer {}", secret(field)?)),
        Auth::Basic { user, password } => {
            let part = |field: &Option<String>| field.as_deref().map_or(Ok(String::new()), &secret);
            ("Authorization".to_owned(), format!("Basic {}", STANDARD.encode(format!("{}:{}", part(user)?, part(password)?))))
        }
        Auth::Oauth1 { realm, consumer_key, consumer_secret, token, token_secret } => {
            let oauth = Oauth1 {
                realm: &context.fill(realm, false)?,
                consumer_key: &secret(consumer_key)?,
                consumer_secret: &secret(consumer_secret)?,
                token: &secret(token)?,
                token_secret: &secret(token_secret)?,
                timestamp: context.now.timestamp(),
                nonce: context.nonce,
            };
            ("Authorization".to_owned(), oauth.header(request.method.as_str(), &request.url)?)
        }
        _ => return Err(RequestError::Template("this kind of authentication is not built yet".into())),
    };
    request.headers.push((name, value));
    Ok(())
}

/// OAuth 1.0a with HMAC-SHA256 (RFC 5849 section 3.4). The realm is not signed; a JSON body is not signed.
struct Oauth1<'a> {
    realm: &'a str,
    consumer_key: &'a str,
    consumer_secret: &'a str,
    token: &'a str,
    token_secret: &'a str,
    timestamp: i64,
    nonce: &'a str,
}

impl Oauth1<'_> {
    fn header(&self, method: &str, url: &str) -> Result<String, RequestError> {
        let url = url::Url::parse(url).map_err(|error| RequestError::Url(error.to_string()))?;
        let timestamp = self.timestamp.to_string();
        let own = [
            ("oauth_consumer_key", self.consumer_key),
            ("oauth_nonce", self.nonce),
            ("oauth_signature_method", "HMAC-SHA256"),
            ("oauth_timestamp", &timestamp),
            ("oauth_token", self.token),
            ("oauth_version", "1.0"),
        ];
        let mut parameters: Vec<(String, String)> = own.iter().map(|(name, value)| (encode(name), encode(value))).collect();
        parameters.extend(url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))));
        parameters.sort_unstable();
        let parameters: Vec<String> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let place = format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
        let base = format!("{}&{}&{}", method, encode(&place), encode(&parameters.join("&")));
        let key = format!("{}&{}", encode(self.consumer_secret), encode(self.token_secret));
        let signature = STANDARD.encode(hmac_sha256(key.as_bytes(), base.as_bytes()));
        let mut header = format!("OAuth realm=\"{}\"", encode(self.realm));
        for (name, value) in own.into_iter().chain([("oauth_signature", signature.as_str())]) {
            header.push_str(&format!(", {name}=\"{}\"", encode(value)));
        }
        Ok(header)
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_oauthlib_makes() {
        // Made with oauthlib 4.0.1: Client("ck", "cs", "tk", "ts", signature_method="HMAC-SHA256", realm, nonce="n0nce", timestamp="1790000000").
        let oauth = Oauth1 {
            realm: "1234567_SB1",
            consumer_key: "ck",
            consumer_secret: "cs",
            token: "tk",
            token_secret: "ts",
            timestamp: 1_790_000_000,
            nonce: "n0nce",
        };
        let header = oauth
            .header(
                "PUT",
                "https://1234567-sb1.api.vendor.example/services/rest/record/v1/salesOrder/eid:a%20b?replace=item&x=%C3%A9",
            )
            .unwrap();
        assert!(header.contains("oauth_signature=\"Ahu5CDOjNt7IryLQQ3ZrmbSTScgYSbPuvhDFeeXmeoI%3D\""), "{header}");
    }
}
