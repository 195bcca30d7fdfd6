//! The web app's files. They are read once, at the start, and served from memory: no path of a request ever reaches the disk, and a folder that is
//! replaced by the next version is only seen by the next start.

use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::path::Path;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

/// What the pages may do: run and load what comes from here, and nothing else. No script and no style stands in a page itself, so a text of a vendor
/// that should ever reach one as markup does nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
                      manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
const START_PAGE: &str = "index.html";
/// The build names what lies here by its content, so it can be kept for good.
const NAMED_BY_CONTENT: &str = "assets/";
/// What these begin is never a page.
const OTHERS: [&str; 6] = ["graphql", "hooks", "healthz", "readyz", "session", "sso"];
const FILES_MAX: usize = 2_000;
const BYTES_MAX: usize = 64 * 1024 * 1024;
const DEPTH_MAX: usize = 8;

/// The built web app, or nothing where this process serves none.
#[derive(Default)]
pub struct WebApp {
    files: HashMap<String, File>,
    is_https: bool,
}

struct File {
    kind: &'static str,
    tag: String,
    plain: Bytes,
    /// As the build has compressed it.
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
}

impl WebApp {
    /// # Errors
    /// Where the folder cannot be read, has no start page, or is far larger than a web app is: then it is another folder.
    pub fn load(folder: Option<&Path>, is_https: bool) -> std::io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let mut bytes = HashMap::new();
        read(folder, "", DEPTH_MAX, &mut bytes).map_err(|error| {
            Error::new(error.kind(), format!("CROSSDOCK_WEB_DIR: {} cannot be read: {error}", folder.display()))
        })?;
        let mut files = HashMap::new();
        for (name, plain) in &bytes {
            if name.ends_with(".br") || name.ends_with(".gz") {
                continue;
            }
            let tag =
                format!("\"{}\"", Sha256::digest(plain).iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>());
            let packed = |ending: &str| bytes.get(&format!("{name}.{ending}")).cloned();
            let file = File { kind: kind(name), tag, plain: plain.clone(), brotli: packed("br"), gzip: packed("gz") };
            files.insert(name.clone(), file);
        }
        if !files.contains_key(START_PAGE) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "CROSSDOCK_WEB_DIR: {} has no {START_PAGE}; build the web app with `npm ci && npm run build` in frontend/",
                    folder.display()
                ),
            ));
        }
        Ok(Self { files, is_https })
    }

    /// The file of a path; the start page for any other that a browser wants as a page, because the app itself knows its pages.
    fn find(&self, path: &str, wants_page: bool) -> Option<(&str, &File)> {
        let name = path.trim_start_matches('/');
        let known = self.files.get_key_value(name).filter(|_| name != START_PAGE);
        let is_page =
            wants_page && !name.starts_with(NAMED_BY_CONTENT) && !OTHERS.contains(&name.split('/').next().unwrap_or_default());
        known.or_else(|| self.files.get_key_value(START_PAGE).filter(|_| is_page)).map(|(name, file)| (name.as_str(), file))
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let header =
            |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return HttpResponse::NotFound().finish();
        }
        let wants_page = header(header::ACCEPT).contains("text/html");
        let Some((name, file)) = self.find(request.path(), wants_page) else { return HttpResponse::NotFound().finish() };
        let is_known = header(header::IF_NONE_MATCH) == file.tag;
        let mut answer = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        let kept = if name.starts_with(NAMED_BY_CONTENT) { "public, max-age=31536000, immutable" } else { "no-cache" };
        answer
            .insert_header((header::CACHE_CONTROL, kept))
            .insert_header((header::ETAG, file.tag.as_str()))
            .insert_header((header::VARY, "Accept, Accept-Encoding"))
            .insert_header(("Content-Security-Policy", POLICY))
            .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
            .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
            .insert_header(("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"));
        if self.is_https {
            answer.insert_header(("Strict-Transport-Security", "max-age=31536000"));
        }
        if is_known {
            return answer.finish();
        }
        let (coding, body) = file.coded(header(header::ACCEPT_ENCODING));
        if let Some(coding) = coding {
            answer.insert_header((header::CONTENT_ENCODING, coding));
        }
        answer.content_type(file.kind).body(body.clone())
    }
}

impl File {
    fn coded(&self, accepted: &str) -> (Option<&'static str>, &Bytes) {
        // A weight of 0 means "not that one", and is sent by nobody who has a browser's reasons: it gets the plain bytes.
        let takes = |coding: &str| {
            !accepted.contains("q=0")
                && accepted.split(',').any(|one| one.split(';').next().is_some_and(|one| one.trim() == coding))
        };
        match (&self.brotli, &self.gzip) {
            (Some(body), _) if takes("br") => (Some("br"), body),
            (_, Some(body)) if takes("gzip") => (Some("gzip"), body),
            _ => (None, &self.plain),
        }
    }
}

pub async fn serve(app: web::Data<WebApp>, request: HttpRequest) -> HttpResponse {
    app.answer(&request)
}

fn read(folder: &Path, prefix: &str, depth: usize, found: &mut HashMap<String, Bytes>) -> std::io::Result<()> {
    let too_large = || Error::new(ErrorKind::InvalidInput, "this is no built web app: too many files, or too large");
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // Of the entry itself: a symbolic link is neither, so nothing outside of the folder is ever read.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let deeper = depth.checked_sub(1).ok_or_else(too_large)?;
            read(&entry.path(), &format!("{name}/"), deeper, found)?;
        } else if kind.is_file() {
            found.insert(name, std::fs::read(entry.path())?.into());
            if found.len() > FILES_MAX || found.values().map(Bytes::len).sum::<usize>() > BYTES_MAX {
                return Err(too_large());
            }
        }
    }
    Ok(())
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::{Method, header};
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};

    use super::WebApp;

    /// Removed when the test ends, however it ends.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = std::env::temp_dir().join(format!("crossdock-web-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir_all(folder.join("assets")).expect("a folder can be made");
            for (name, text) in files {
                std::fs::write(folder.join(name), text).expect("a file can be written");
            }
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Status, coding, how long it is kept, and the body.
    type Seen = (u16, String, String, String);

    async fn ask(app: WebApp, path: &str, headers: &[(header::HeaderName, &str)]) -> Seen {
        let app = init_service(App::new().app_data(web::Data::new(app)).default_service(web::route().to(super::serve))).await;
        let mut request = TestRequest::get().uri(path);
        for (name, value) in headers {
            request = request.insert_header((name.clone(), *value));
        }
        let answer = call_service(&app, request.to_request()).await;
        let value = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (status, coding, kept) = (answer.status().as_u16(), value(header::CONTENT_ENCODING), value(header::CACHE_CONTROL));
        if status == 200 {
            let policy = value(header::CONTENT_SECURITY_POLICY);
            assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        }
        (status, coding, kept, String::from_utf8_lossy(&read_body(answer).await).into_owned())
    }

    #[actix_web::test]
    async fn a_page_is_the_start_page_and_nothing_outside_the_folder_is_served() {
        let folder = Folder::with(&[("index.html", "start"), ("assets/a.js", "plain"), ("assets/a.js.br", "packed")]);
        let page = [(header::ACCEPT, "text/html,*/*")];
        let app = || WebApp::load(Some(&folder.0), true).expect("the folder can be read");
        let start = (200, String::new(), "no-cache".to_owned(), "start".to_owned());
        let missing = |seen: Seen| assert_eq!(seen.0, 404, "{seen:?}");
        for path in ["/", "/index.html", "/t/acme/exceptions/flw_1%7Coutage.http_503", "/../../etc/passwd", "/%2e%2e/etc/passwd"]
        {
            assert_eq!(ask(app(), path, &page).await, start, "{path}");
        }
        for path in ["/assets/gone.js", "/graphql/x", "/hooks/a/b", "/readyz/x"] {
            missing(ask(app(), path, &page).await);
        }
        missing(ask(app(), "/../../etc/passwd", &[]).await);
        missing(ask(WebApp::default(), "/", &page).await);
        let script = ask(app(), "/assets/a.js", &[(header::ACCEPT_ENCODING, "gzip, br")]).await;
        assert_eq!((script.0, script.1.as_str(), script.3.as_str()), (200, "br", "packed"));
        assert!(script.2.contains("immutable"), "{script:?}");
        let plain = ask(app(), "/assets/a.js", &[(header::ACCEPT_ENCODING, "gzip")]).await;
        assert_eq!((plain.0, plain.1.as_str(), plain.3.as_str()), (200, "", "plain"));
    }

    #[actix_web::test]
    async fn what_a_browser_has_is_not_sent_again() {
        let folder = Folder::with(&[("index.html", "start")]);
        let app = WebApp::load(Some(&folder.0), false).expect("the folder can be read");
        let tag = app.files["index.html"].tag.clone();
        assert_eq!(ask(app, "/", &[(header::ACCEPT, "text/html"), (header::IF_NONE_MATCH, &tag)]).await.0, 304);
    }

    #[actix_web::test]
    async fn nothing_is_posted_to_a_page() {
        let folder = Folder::with(&[("index.html", "start")]);
        let app = web::Data::new(WebApp::load(Some(&folder.0), false).expect("the folder can be read"));
        let app = init_service(App::new().app_data(app).default_service(web::route().to(super::serve))).await;
        let post = TestRequest::default().method(Method::POST).uri("/").insert_header((header::ACCEPT, "text/html")).to_request();
        assert_eq!(call_service(&app, post).await.status().as_u16(), 404);
    }

    #[test]
    fn a_folder_without_a_start_page_is_said_at_the_start() {
        let folder = Folder::with(&[]);
        let error = WebApp::load(Some(&folder.0), false).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("npm run build"), "{error}");
        let missing = folder.0.join("nowhere");
        let error = WebApp::load(Some(&missing), false).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("CROSSDOCK_WEB_DIR") && error.contains("nowhere"), "{error}");
    }
}
