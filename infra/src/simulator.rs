//! A vendor's simulator on a loopback address: a connector's own file, served. Whoever needs a vendor that is not there starts one: the
//! command line, the platform's tests, the demo.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::Utc;
use connectors::simulator::{SimAnswer, Simulator};
use domain::http::{HttpAnswer, HttpRequest};

use crate::loopback::{self, Answer, LoopbackError, Running};

/// A simulator that serves, until it is dropped.
pub struct Served {
    simulator: Arc<Mutex<Simulator<'static>>>,
    /// How far its clock is ahead of ours, ms.
    ahead_ms: Arc<AtomicI64>,
    running: Running,
}

impl Served {
    /// Serves on this address; port 0 is any that is free.
    ///
    /// # Errors
    /// Where the address is none of loopback, or is taken.
    pub async fn start(simulator: Simulator<'static>, listen: SocketAddr) -> Result<Self, LoopbackError> {
        let simulator = Arc::new(Mutex::new(simulator));
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let (inner, ahead) = (simulator.clone(), ahead_ms.clone());
        let handler = move |request: HttpRequest, in_flight: usize| {
            let now = Utc::now() + chrono::Duration::milliseconds(ahead.load(Ordering::SeqCst));
            answer(inner.lock().expect("the simulator does not panic").answer(&request, in_flight, now))
        };
        let running = loopback::serve(listen, Arc::new(handler)).await?;
        Ok(Self { simulator, ahead_ms, running })
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// The simulator itself; nobody is served while it is held.
    ///
    /// # Panics
    /// Where an earlier holder panicked.
    pub fn simulator(&self) -> MutexGuard<'_, Simulator<'static>> {
        self.simulator.lock().expect("the simulator does not panic")
    }

    /// Lets its time pass, so that nobody has to wait for it.
    pub fn pass(&self, time: Duration) {
        self.ahead_ms.fetch_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2), Ordering::SeqCst);
    }
}

fn answer(answer: SimAnswer) -> Answer {
    Answer {
        answer: HttpAnswer { status: answer.status, headers: answer.headers, body: answer.body },
        delay: Duration::from_millis(answer.delay_ms),
        delivery: answer.delivery,
    }
}
