//! AWS Signature Version 4 in the `Authorization` header. The query is put into its canonical order and encoding before it is sent, so that
//! no server can read it otherwise than it was signed.

use domain::http::HttpRequest;
use sha2::{Digest, Sha256};
use url::Url;

use super::{encode, hmac_sha256, parse_url, put_header, sorted_query};
use crate::hex::hex;
use crate::manifest::Sigv4;
use crate::request::{RequestContext, RequestError};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

pub(super) fn sign(sigv4: &Sigv4, request: &mut HttpRequest, context: &RequestContext<'_>) -> Result<(), RequestError> {
    let mut url = parse_url(request)?;
    let query = sorted_query(&url);
    url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    request.url = url.to_string();
    let (region, service) = (context.fill(&sigv4.region, false)?, context.fill(&sigv4.service, false)?);
    let timestamp = context.now.format("%Y%m%dT%H%M%SZ").to_string();
    let day = &timestamp[..8];
    let body_hash = hex(&Sha256::digest(&request.body));
    put_header(request, "X-Amz-Date", timestamp.clone())?;
    // Keys that last have none.
    if let Some(token) = sigv4.session_token.as_deref().and_then(|field| context.secret(field).ok()) {
        put_header(request, "X-Amz-Security-Token", token.to_owned())?;
    }
    if sigv4.object_store {
        put_header(request, "X-Amz-Content-Sha256", body_hash.clone())?;
    }

    let headers = signed_headers(request, &url);
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let path = canonical_path(&url, sigv4.object_store);
    let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{body_hash}", request.method.as_str());
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));

    let secret = format!("AWS4{}", context.secret(&sigv4.secret_key)?);
    let key = [day, &region, &service, "aws4_request"]
        .into_iter()
        .fold(secret.into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes()).to_vec());
    let signature = hex(&hmac_sha256(&key, text.as_bytes()));
    let access_key = context.secret(&sigv4.access_key)?;
    put_header(
        request,
        "Authorization",
        format!("{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"),
    )
}

/// What must be signed: the host, the type of the body and all of `x-amz-*`. What a proxy may change on the way is not.
fn signed_headers(request: &HttpRequest, url: &Url) -> Vec<(String, String)> {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mut headers = vec![("host".to_owned(), format!("{}{port}", url.host_str().unwrap_or_default()))];
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        if name == "content-type" || name.starts_with("x-amz-") {
            headers.push((name, value.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    headers.sort_unstable();
    headers
}

/// The path as sent is encoded once more, and empty steps are dropped; an object store wants it as it is.
fn canonical_path(url: &Url, object_store: bool) -> String {
    if object_store {
        return url.path().to_owned();
    }
    let steps: Vec<String> = url.path().split('/').filter(|step| !step.is_empty()).map(encode).collect();
    let end = if url.path().ends_with('/') && !steps.is_empty() { "/" } else { "" };
    format!("/{}{end}", steps.join("/"))
}
