use super::*;

fn files(folders: &str) -> Files {
    let allowed = Arc::new(AllowList::default());
    Files::new(allowed, DropFolders::parse(folders).unwrap(), Duration::from_secs(5))
}

/// A folder of its own, taken away at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("crossdock-files-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(path.join("in")).unwrap();
        std::fs::create_dir_all(path.join("other")).unwrap();
        Self(path)
    }

    fn url(&self) -> String {
        format!("file://{}", self.0.display())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn request(method: Method, url: String, body: &str, to: Option<&str>) -> HttpRequest {
    let url = to.map_or(url.clone(), |to| format!("{url}?rename_to={to}"));
    HttpRequest { method, url, headers: vec![], body: body.to_owned().into(), identity: None }
}

#[tokio::test]
async fn a_file_is_written_whole_under_another_name_and_takes_nobodys_place() {
    let folder = Temporary::new();
    let files = files(&folder.0.display().to_string());
    let url = |name: &str| format!("{}/in/{name}", folder.url());
    let send = async |method, name: &str, body: &str, to| files.send(request(method, url(name), body, to)).await;
    assert_eq!(send(Method::Put, ".a%20b.part", "one", None).await.unwrap().status, 201);
    assert_eq!(send(Method::Put, ".a%20b.part", "two", None).await.unwrap().status, 201);
    assert_eq!(send(Method::Post, ".a%20b.part", "", Some("a+b")).await.unwrap().status, 201);
    assert_eq!(send(Method::Get, "a%20b", "", None).await.unwrap().body, "two");
    assert_eq!(send(Method::Get, ".a%20b.part", "", None).await.unwrap().status, 404);
    assert_eq!(send(Method::Get, ".a%20b.part?ask=exists", "", None).await.unwrap().body, r#"{"exists":false}"#);
    send(Method::Put, ".a%20b.part", "three", None).await.unwrap();
    assert_eq!(send(Method::Post, ".a%20b.part", "", Some("a+b")).await.unwrap().status, 409);
    assert_eq!(send(Method::Get, "a%20b", "", None).await.unwrap().body, "two");
    assert_eq!(send(Method::Delete, "a%20b", "", None).await.unwrap().status, 200);
    assert_eq!(send(Method::Put, "none/a", "x", None).await.unwrap().status, 404);
}

#[tokio::test]
async fn nothing_outside_of_an_opened_folder_is_touched_by_any_way() {
    let folder = Temporary::new();
    let files = files(&folder.0.join("in").display().to_string());
    std::fs::write(folder.0.join("other/secret"), "s").unwrap();
    std::os::unix::fs::symlink(folder.0.join("other"), folder.0.join("in/way")).unwrap();
    std::os::unix::fs::symlink(folder.0.join("other/secret"), folder.0.join("in/link")).unwrap();
    for path in ["/other/secret", "/in/way/secret", "/in/../other/secret", "/in/way/new"] {
        for method in [Method::Get, Method::Put, Method::Delete] {
            let answer = files.send(request(method, format!("{}{path}", folder.url()), "x", None)).await;
            assert!(matches!(answer, Err(NoAnswer::Refused(_))), "{path}: {answer:?}");
        }
    }
    // A slash within an id is no way into another folder, but a part of a name.
    assert_eq!(
        files.send(request(Method::Put, format!("{}/in/..%2Fother%2Fsecret", folder.url()), "x", None)).await.unwrap().status,
        201
    );
    assert_eq!(std::fs::read_dir(folder.0.join("other")).unwrap().count(), 1);
    files.send(request(Method::Delete, format!("{}/in/..%2Fother%2Fsecret", folder.url()), "", None)).await.unwrap();
    // A link to a file is no file.
    let link = files.send(request(Method::Get, format!("{}/in/link", folder.url()), "", None)).await;
    assert!(!matches!(&link, Ok(answer) if answer.status == 200), "{link:?}");
    let mut session = files.open(&Site { url: format!("{}/in", folder.url()), login: None }).await.unwrap();
    assert_eq!(session.list("").await.unwrap(), []);
    assert!(matches!(session.list("way").await, Err(FileFault::Refused(_))));
    assert_eq!(std::fs::read_to_string(folder.0.join("other/secret")).unwrap(), "s");
    let none = super::Files::new(Arc::default(), DropFolders::default(), Duration::from_secs(1));
    let answer = none.send(request(Method::Get, format!("{}/in/x", folder.url()), "", None)).await;
    assert!(matches!(&answer, Err(NoAnswer::Refused(why)) if why.contains("CROSSDOCK_DROP_FOLDERS")), "{answer:?}");
}

#[test]
fn a_folder_is_opened_to_one_tenant_or_to_all() {
    let (acme, globex) = (TenantId::generate(), TenantId::generate());
    let folders = DropFolders::parse(&format!("/srv/drop/acme={acme}, /srv/open")).unwrap();
    for (tenant, url, is_open) in [
        (acme, "file:///srv/drop/acme", true),
        (acme, "file:///srv/drop/acme/in", true),
        (acme, "file:///srv/drop/acme/../globex", false),
        (acme, "file:///srv/drop/acmee", false),
        (globex, "file:///srv/drop/acme", false),
        (globex, "file:///srv/open/globex", true),
        (globex, "sftp://partner.example/in", true),
    ] {
        assert_eq!(folders.refuses(tenant, url).is_none(), is_open, "{tenant} {url}");
    }
    assert!(DropFolders::parse("drop").is_err() && DropFolders::parse("/srv=acme").is_err());
}

#[tokio::test]
async fn a_server_inside_our_walls_is_refused_before_a_byte_is_sent() {
    let files = files("");
    let login = domain::http::Login {
        user: "u".into(),
        password: Some("p".into()),
        key: None,
        passphrase: None,
        host_key: String::new(),
    };
    for host in ["127.0.0.1", "127.1:22", "[::1]:22", "localhost:2222", "169.254.169.254", "10.0.0.1:22"] {
        let site = Site { url: format!("sftp://{host}"), login: Some(login.clone()) };
        let refused = files.open(&site).await.err();
        assert!(
            matches!(&refused, Some(FileFault::Refused(why)) if why.contains("CROSSDOCK_OUTBOUND_ALLOW")),
            "{host}: {refused:?}"
        );
    }
}
