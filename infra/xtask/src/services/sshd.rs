//! The program of an OpenSSH server, for the tests that read and write files: each starts one of its own. One that is not on this machine is got as the
//! distribution's package and unpacked beside, never installed: no server starts by itself.

use std::path::PathBuf;
use std::process::Command;

use super::folder;
use crate::process::{find as find_program, quiet, say, step};

/// `CROSSDOCK_SSHD`; the machine's own; one that was unpacked before; the package. The error says why there is none.
pub fn find() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("CROSSDOCK_SSHD").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    if let Some(path) = find_program(&["sshd"], &["/usr/sbin".into(), "/usr/local/sbin".into()]) {
        return Ok(path);
    }
    let home = folder("sshd")?;
    let program = home.join("root/usr/sbin/sshd");
    if program.is_file() {
        return Ok(program);
    }
    let (Some(apt), Some(dpkg)) = (find_program(&["apt-get"], &[]), find_program(&["dpkg"], &[])) else {
        return Err("there is no sshd, and no apt-get and dpkg to get it with".into());
    };
    say("  getting the package openssh-server with apt-get, to unpack it beside");
    step("the OpenSSH server", || {
        let get =
            |package: &str| quiet(Command::new(&apt).args(["download", "-q", package]).current_dir(&home), "apt-get download");
        get("openssh-server")?;
        // Most machines have this one, which it is linked with.
        let _ = get("libwrap0");
        for entry in std::fs::read_dir(&home).map_err(|error| error.to_string())?.flatten() {
            if entry.path().extension().is_some_and(|ending| ending == "deb") {
                quiet(Command::new(&dpkg).arg("-x").arg(entry.path()).arg(home.join("root")), "dpkg")?;
            }
        }
        if program.is_file() { Ok(()) } else { Err("the package has no sshd".into()) }
    })?;
    Ok(program)
}
