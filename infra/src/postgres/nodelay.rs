//! sqlx 0.9.0 leaves Nagle's algorithm on ([issue 4335](https://github.com/launchbadge/sqlx/issues/4335), mended after that release):
//! the last part of a statement that is longer than one segment waits 40 ms for an acknowledgement that the server delays.
//! sqlx does not show its socket, so it is found among our own. To be deleted with the next sqlx.

use std::net::SocketAddr;

use rustix::net::{getpeername, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Turns it off for every TCP connection of this process to that port. Where the kernel does not let us (Linux before 5.6, a strict
/// container), everything works as before, only slower.
pub(super) fn set(port: u16) {
    let Ok(own) = pidfd_open(getpid(), PidfdFlags::empty()) else { return };
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let is_socket = std::fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|_| is_socket) else { continue };
        // A second handle of the same socket: what is set on it holds for both, and closing it closes neither.
        let Ok(socket) = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) else { continue };
        let peer = getpeername(&socket).ok().flatten().and_then(|peer| SocketAddr::try_from(peer).ok());
        if peer.is_some_and(|peer| peer.port() == port) {
            // The connection may have ended meanwhile.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_to_the_port_is_found_and_no_other() {
        let (server, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let ours = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let theirs = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        super::set(server.local_addr().unwrap().port());
        assert!(ours.nodelay().unwrap());
        assert!(!theirs.nodelay().unwrap());
    }
}
