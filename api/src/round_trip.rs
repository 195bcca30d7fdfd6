//! A browser that is sent to another site and comes back with a code: to an identity provider to sign somebody in, to a vendor to connect an account.
//!
//! What binds the way back to the browser that left is one random text in a cookie. What else the way needs (the proof of the code, PKCE, and the nonce)
//! is made of it, so that the database, which keeps hashes, could end nothing, and neither could whoever sees the code on its way.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, LOCATION, SET_COOKIE};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::web_session::{self, Cookie};

const QUERY_BYTES_MAX: usize = 16 * 1024;

/// One kind of such ways.
#[derive(Debug, Clone, Copy)]
pub struct RoundTrip {
    /// What the cookie is called by, and what the texts that follow from it are told apart by.
    pub name: &'static str,
    /// Where our side of it is, and where the cookie goes.
    pub path: &'static str,
}

impl RoundTrip {
    /// What follows from the browser's text, and from nothing else. The text has 256 random bits, so none of it leads back or to another.
    pub fn derived(self, browser: &str, what: &str) -> String {
        digest(&format!("crossdock/{}/{what}\n{browser}", self.name))
    }

    fn cookie_name(self, cookie: Cookie, which: &str) -> String {
        let begin = if cookie == Cookie::Secure { "__Secure-" } else { "" };
        let dash = if which.is_empty() { "" } else { "-" };
        format!("{begin}crossdock-{}{dash}{which}", self.name)
    }

    /// What the browser keeps, for so long; without a text it forgets. `which` tells several apart that are under way at once. `Lax`, unlike the session's:
    /// the other site sends the browser back here from its own pages.
    pub fn kept(self, cookie: Cookie, which: &str, text: &str, seconds: i64) -> String {
        let (name, path) = (self.cookie_name(cookie, which), self.path);
        let secure = if cookie == Cookie::Secure { "; Secure" } else { "" };
        format!("{name}={text}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }

    /// What the browser kept.
    pub fn find(self, headers: &HeaderMap, cookie: Cookie, which: &str) -> Option<String> {
        web_session::find(headers, &self.cookie_name(cookie, which))
    }
}

/// SHA-256 as PKCE wants it (RFC 7636, 4.2).
pub fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// What the other site sent somebody back with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Returned {
    pub state: String,
    pub code: Option<String>,
    pub issuer: Option<String>,
    pub error: Option<String>,
}

impl Returned {
    /// `None` where it is no answer: without a state, or with something said twice (RFC 6749, 3.1).
    pub fn read(query: &str) -> Option<Self> {
        if query.len() > QUERY_BYTES_MAX {
            return None;
        }
        let mut returned = Self::default();
        let mut state = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "state" => &mut state,
                "code" => &mut returned.code,
                "iss" => &mut returned.issuer,
                "error" => &mut returned.error,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        returned.state = state?;
        Some(returned)
    }
}

/// Sends the browser on; nothing of the way is kept by a cache.
pub fn to(address: &str, cookies: &[String]) -> HttpResponse {
    let mut answer = HttpResponse::build(StatusCode::SEE_OTHER);
    answer.insert_header((LOCATION, address)).insert_header((CACHE_CONTROL, "no-store"));
    for cookie in cookies {
        answer.append_header((SET_COOKIE, cookie.as_str()));
    }
    answer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSO: RoundTrip = RoundTrip { name: "sso", path: "/sso" };

    #[test]
    fn an_answer_has_a_state_and_says_nothing_twice() {
        let returned = Returned::read("code=a%2Bb&state=s&iss=https%3A%2F%2Fid.example.com&session_state=x").unwrap();
        assert_eq!((returned.code.as_deref(), returned.state.as_str()), (Some("a+b"), "s"));
        assert_eq!(returned.issuer.as_deref(), Some("https://id.example.com"));
        for query in ["", "code=a", "code=a&code=b&state=s", "state=s&state=t&code=a", "state=s&iss=a&iss=b"] {
            assert_eq!(Returned::read(query), None, "{query}");
        }
        assert_eq!(Returned::read(&format!("state=s&code={}", "x".repeat(20_000))), None);
    }

    #[test]
    fn what_follows_from_the_browsers_text_fits_pkce_and_tells_nothing_of_it() {
        let (text, _) = crate::auth::new_token();
        let (verifier, nonce) = (SSO.derived(&text, "verifier"), SSO.derived(&text, "nonce"));
        assert_ne!(verifier, nonce);
        assert_ne!(verifier, RoundTrip { name: "oauth", ..SSO }.derived(&text, "verifier"), "one way's proof is no other's");
        assert!(verifier.len() == 43 && nonce.len() == 43, "RFC 7636, 4.1 wants 43 to 128 characters");
        assert_eq!(
            digest("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "RFC 7636, B"
        );
    }

    #[test]
    fn the_cookie_comes_back_from_the_other_sites_pages_and_to_no_other_address() {
        let set = SSO.kept(Cookie::Secure, "", "abc", 600);
        assert_eq!(set, "__Secure-crossdock-sso=abc; Path=/sso; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(SSO.kept(Cookie::Plain, "x1", "", 0), "crossdock-sso-x1=; Path=/sso; Max-Age=0; HttpOnly; SameSite=Lax");
    }
}
