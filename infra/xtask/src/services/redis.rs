//! Redis: limits only, so it keeps nothing on disk.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Rung, Server};
use crate::process::{data, find as find_program, free_port, step, wait};

pub fn find(rung: Rung) -> Result<Option<Server>, String> {
    match rung {
        Rung::Environment => Ok(std::env::var("REDIS_URL").ok().map(|url| Server { url, how: "REDIS_URL".into(), child: None })),
        Rung::Local => {
            Ok(accepts(6379).then(|| Server { url: "redis://127.0.0.1:6379".into(), how: "127.0.0.1:6379".into(), child: None }))
        }
        Rung::Private | Rung::Install => match find_program(&["redis-server"], &["/usr/bin".into(), "/usr/local/bin".into()]) {
            Some(program) => start(&program).map(Some),
            None => Ok(None),
        },
        Rung::Embedded => Ok(None),
    }
}

fn start(program: &std::path::Path) -> Result<Server, String> {
    let (home, port) = (data().join("redis"), free_port()?);
    std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    let log = std::fs::File::create(home.join("server.log")).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(&home);
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|error| format!("Redis: {error}"))?;
    let server = Server {
        url: format!("redis://127.0.0.1:{port}"),
        how: format!("private, from {}, port {port}", program.display()),
        child: Some(child),
    };
    step("Redis starts", || wait("Redis did not answer", Duration::from_secs(20), || accepts(port)))?;
    Ok(server)
}

fn accepts(port: u16) -> bool {
    let ping = || -> std::io::Result<bool> {
        let mut stream =
            TcpStream::connect_timeout(&std::net::SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0u8; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ping().unwrap_or(false)
}
