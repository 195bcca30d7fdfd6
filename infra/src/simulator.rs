//! A vendor's simulator on a loopback address: a connector's own file, served. Whoever needs a vendor that is not there starts one: the
//! command line, the platform's tests, the demo.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use connectors::simulator::{SimAnswer, Simulator};
use domain::http::{HttpAnswer, HttpRequest};

use crate::loopback::{self, Answer, LoopbackError, Running};

/// A simulator's own time.
#[derive(Default)]
struct Clock {
    /// How far it is ahead of ours, ms.
    ahead_ms: AtomicI64,
    /// Where it stands still, ms since 1970; 0 where it runs.
    stopped_ms: AtomicI64,
}

impl Clock {
    fn now(&self) -> DateTime<Utc> {
        let stopped_ms = self.stopped_ms.load(Ordering::SeqCst);
        let base = DateTime::from_timestamp_millis(stopped_ms).filter(|_| stopped_ms != 0).unwrap_or_else(Utc::now);
        base + chrono::Duration::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }
}

/// A simulator that serves, until it is dropped.
pub struct Served {
    simulator: Arc<Mutex<Simulator<'static>>>,
    clock: Arc<Clock>,
    running: Running,
}

impl Served {
    /// Serves on this address; port 0 is any that is free.
    ///
    /// # Errors
    /// Where the address is none of loopback, or is taken.
    pub async fn start(simulator: Simulator<'static>, listen: SocketAddr) -> Result<Self, LoopbackError> {
        let simulator = Arc::new(Mutex::new(simulator));
        let clock = Arc::new(Clock::default());
        let (inner, time) = (simulator.clone(), clock.clone());
        let handler = move |request: HttpRequest, in_flight: usize| {
            answer(inner.lock().expect("the simulator does not panic").answer(&request, in_flight, time.now()))
        };
        let running = loopback::serve(listen, Arc::new(handler)).await?;
        Ok(Self { simulator, clock, running })
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
        self.clock.ahead_ms.fetch_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2), Ordering::SeqCst);
    }

    /// Its time stands still, and moves only by [`Self::pass`]: what is counted by the second comes out the same on a slow machine.
    pub fn stop_clock(&self) {
        self.clock.stopped_ms.store(Utc::now().timestamp_millis(), Ordering::SeqCst);
    }

    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The answer to a request that is one of so many at once.
    #[must_use]
    pub fn answer_among(&self, request: &HttpRequest, in_flight: usize) -> HttpAnswer {
        answer(self.simulator().answer(request, in_flight, self.now())).answer
    }
}

fn answer(answer: SimAnswer) -> Answer {
    Answer {
        answer: HttpAnswer { status: answer.status, headers: answer.headers, body: answer.body },
        delay: Duration::from_millis(answer.delay_ms),
        delivery: answer.delivery,
    }
}
