//! RabbitMQ. A private node has its own name, ports, epmd, folders and cookie, so that it meets no other node of this machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use super::{Rung, Server, as_other, folder, give};
use crate::process::{find as find_program, free_port, say, step, wait};

/// The epmd of a private node outlives it; it is ended with us.
static EPMD: Mutex<Option<(PathBuf, u16)>> = Mutex::new(None);

pub fn find(rung: Rung) -> Result<Option<Server>, String> {
    match rung {
        Rung::Environment => Ok(std::env::var("AMQP_URL").ok().map(|url| Server { url, how: "AMQP_URL".into(), child: None })),
        Rung::Local => Ok(accepts(5672).then(|| Server {
            url: "amqp://guest:guest@127.0.0.1:5672/%2f".into(),
            how: "127.0.0.1:5672 as guest".into(),
            child: None,
        })),
        Rung::Private | Rung::Install => {
            let folders = ["/usr/lib/rabbitmq/bin", "/usr/sbin"].map(PathBuf::from);
            // Debian's /usr/sbin/rabbitmq-server changes the user by itself; the script behind it does not.
            let program = folders.iter().map(|folder| folder.join("rabbitmq-server")).find(|path| path.is_file());
            match program.or_else(|| find_program(&["rabbitmq-server"], &folders)) {
                Some(program) => start(&program).map(Some),
                None => Ok(None),
            }
        }
        Rung::Embedded => Ok(None),
    }
}

fn start(program: &std::path::Path) -> Result<Server, String> {
    let home = folder("rabbitmq")?;
    give(&home)?;
    let (port, dist, epmd) = (free_port()?, free_port()?, free_port()?);
    let config = home.join("rabbitmq.conf");
    let text = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users.guest = true\nlog.console = false\nvm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 200MB\n"
    );
    std::fs::write(&config, text).map_err(|error| error.to_string())?;
    std::fs::write(home.join("enabled_plugins"), "[].\n").map_err(|error| error.to_string())?;
    give(&home)?;
    let log = std::fs::File::create(home.join("server.log")).map_err(|error| error.to_string())?;
    let mut command = as_other(program);
    command
        .env("HOME", &home)
        .env("RABBITMQ_NODENAME", format!("crossdock{port}@localhost"))
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_DIST_PORT", dist.to_string())
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_CONFIG_FILE", &config)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("enabled_plugins"))
        .env("RABBITMQ_PID_FILE", home.join("pid"))
        .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", home.join("log"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", home.join("generated"))
        .env("RABBITMQ_SCHEMA_DIR", home.join("schema"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|error| error.to_string())?)
        .stderr(log)
        .current_dir(&home);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // A node of an earlier run had another name and its rows are in Postgres: nothing of it is needed.
    let _ = std::fs::remove_dir_all(home.join("mnesia"));
    let child = command.spawn().map_err(|error| format!("RabbitMQ: {error}"))?;
    *EPMD.lock().map_err(|error| error.to_string())? = find_program(&["epmd"], &[]).map(|path| (path, epmd));
    let mut server = Server {
        url: format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
        how: format!("private, from {}, port {port}", program.display()),
        child: Some(child),
    };
    match step("RabbitMQ starts", || wait("RabbitMQ did not answer", Duration::from_secs(90), || accepts(port))) {
        Ok(()) => Ok(server),
        Err(error) => {
            if let Some(mut child) = server.child.take() {
                crate::process::stop(&mut child, Duration::from_secs(10));
            }
            forget();
            say(&std::fs::read_to_string(home.join("server.log")).unwrap_or_default());
            Err(error)
        }
    }
}

/// Ends the epmd of a private node.
pub fn forget() {
    let Ok(mut epmd) = EPMD.lock() else { return };
    if let Some((program, port)) = epmd.take() {
        let _ = Command::new(program)
            .env("ERL_EPMD_PORT", port.to_string())
            .arg("-kill")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// True where the port speaks AMQP 0-9-1 and begins a connection (section 4.2.2 of its specification).
fn accepts(port: u16) -> bool {
    let begin = || -> std::io::Result<bool> {
        let mut stream =
            TcpStream::connect_timeout(&std::net::SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut head = [0u8; 11];
        stream.read_exact(&mut head)?;
        // A method frame on channel 0 that carries connection.start.
        Ok(head[0] == 1 && head[7..11] == [0, 10, 0, 10])
    };
    begin().unwrap_or(false)
}
