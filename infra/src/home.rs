//! Connections live where they were configured, and not in the thread that happens to open them.
//!
//! A socket is read and written, and its tasks are run, by the runtime that opens it. Each thread of the HTTP server is a runtime of its own: a connection
//! that one of them opened would stand still for everybody while that thread computes, and die with it, in the middle of what another is doing, where the
//! process is told to stop and its workers and what is told at last go on for a while.

use std::future::poll_fn;

use tokio::runtime::{EnterGuard, Handle};

/// The runtime in which connections live.
#[derive(Debug, Clone)]
pub(crate) struct Home(Handle);

impl Home {
    /// This one, which is to outlive all that uses the connections.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn here() -> Self {
        Self(Handle::current())
    }

    /// Sockets, timers and tasks that are made before the guard is dropped are of this runtime.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }

    /// `work` runs where it is awaited; sockets, timers and tasks that it makes are of this runtime. It lies on the heap: what begins a transaction is in the
    /// future of nearly everything, and would make all of them larger.
    pub fn run<'f, F: Future + 'f>(&'f self, work: F) -> impl Future<Output = F::Output> + use<'f, F> {
        let mut work = Box::pin(work);
        poll_fn(move |context| {
            let _entered = self.enter();
            work.as_mut().poll(context)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_socket_of_this_runtime_outlives_the_thread_that_opened_it() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = server.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((mut socket, _)) = server.accept().await {
                let _ = socket.write_all(b"still here").await;
            }
        });
        let home = Home(runtime.handle().clone());
        let open = |is_at_home: bool| {
            let thread = Builder::new_current_thread().enable_all().build().unwrap();
            let connect = TcpStream::connect(address);
            if is_at_home { thread.block_on(home.run(connect)) } else { thread.block_on(connect) }.unwrap()
        };
        let read = |mut socket: TcpStream| {
            runtime.block_on(async {
                let mut text = String::new();
                socket.read_to_string(&mut text).await.map(|_| text)
            })
        };
        assert_eq!(read(open(true)).unwrap(), "still here");
        assert!(read(open(false)).is_err(), "it goes with its thread");
    }
}
