//! The broker carries tasks: nudges with ids. The rows are the truth, so a task may be lost or doubled without harm;
//! the sweeper nudges again what is due.
//!
//! Two behind the same face: RabbitMQ (quorum queues, publisher confirms) and an in-process one for a laptop or a small install.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use domain::lane::Lane;
use domain::task::{Nudge, Stage, Task};
use futures::StreamExt;
use futures::stream::{SelectAll, select_all};
use lapin::message::Delivery as AmqpDelivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::sync::{Mutex, mpsc};
use tracing::{info, warn};

use crate::chain;
use crate::home::Home;

/// Redeliveries before a task is put aside: a task that kills its worker must not do so for ever. The sweeper nudges anew.
const DELIVERY_LIMIT: i64 = 20;
/// How often either side says that it is still there, s. One that went silent is given up after twice that: RabbitMQ's own 60 s would leave
/// a stage without tasks for two minutes behind a connection that nobody closed.
const HEARTBEAT_S: u16 = 10;
/// How long a publish may take, from connecting to its confirm.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failed connect, how long publishes fail at once: whoever waits for a server that hangs holds up what he came from.
const REST: Duration = Duration::from_secs(2);
/// Tasks that a queue holds; beyond it they are refused, and their rows wait in Postgres.
const QUEUE_TASKS_MAX: i64 = 100_000;
/// From the first byte to the last queue declared: a server that takes the connection and then hangs is tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same with the consumer's own set-up. It waits for nobody, so it may be more patient with a server under load.
const CONSUME_TIMEOUT: Duration = Duration::from_secs(15);
/// How long telling the broker that a task is done may take. It costs nothing where it is lost, but a stage that waits for it stands still.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a consumer that hears nothing looks whether its connection is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Waits between attempts to connect again.
const RECONNECT_MIN: Duration = Duration::from_millis(200);
const RECONNECT_MAX: Duration = Duration::from_secs(5);
/// Tasks the in-process broker holds for each stage; beyond it they are left to the sweeper.
const IN_PROCESS_TASKS_MAX: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("RabbitMQ refused or did not answer; tasks wait in Postgres until it is back")]
    Amqp(#[from] lapin::Error),
    #[error("AMQP_URL is no address of a RabbitMQ server, such as amqp://user:password@host:5672/vhost: {0}")]
    Url(String),
    #[error("RabbitMQ did not answer in time; tasks wait in Postgres until it does")]
    Timeout,
    #[error("RabbitMQ did not take a task; it waits in Postgres")]
    Refused,
    #[error("the in-process broker holds {IN_PROCESS_TASKS_MAX} tasks already; further ones wait in Postgres")]
    Full,
}

/// Carries tasks from whoever commits rows to whoever works on them.
#[derive(Clone)]
pub enum Broker {
    RabbitMq(Arc<RabbitMq>),
    InProcess(Arc<InProcess>),
}

impl Broker {
    /// RabbitMQ at this URL; `prefix` keeps installations apart that share a virtual host. Connects when first used, and again when broken.
    #[must_use]
    pub fn rabbitmq(url: &str, prefix: &str) -> Self {
        Self::RabbitMq(Arc::new(RabbitMq {
            url: url.to_owned(),
            home: Home::here(),
            prefix: prefix.to_owned(),
            publisher: Mutex::new(None),
            resting_until: std::sync::Mutex::default(),
        }))
    }

    #[must_use]
    pub fn in_process() -> Self {
        let queues = Stage::ALL.into_iter().map(|stage| {
            let (senders, receivers) = Lane::ALL.map(|_| mpsc::channel(IN_PROCESS_TASKS_MAX)).into_iter().unzip();
            (stage, InProcessQueues { senders, receivers: Arc::new(Mutex::new(receivers)) })
        });
        Self::InProcess(Arc::new(InProcess { queues: queues.collect() }))
    }

    /// Hands over tasks; returns when the broker has confirmed them.
    ///
    /// # Errors
    /// Where it did not. The caller need not try again: the sweeper does.
    pub async fn publish(&self, stage: Stage, tasks: impl IntoIterator<Item = Task>) -> Result<(), BrokerError> {
        match self {
            Self::RabbitMq(rabbit) => rabbit.publish(stage, tasks).await,
            Self::InProcess(local) => {
                for task in tasks {
                    local.queues[&stage].sender(task.lane).try_send(task).map_err(|_| BrokerError::Full)?;
                }
                Ok(())
            }
        }
    }

    /// Tells a stage about rows. Where the broker does not take it, the sweeper tells it.
    pub async fn nudge(&self, stage: Stage, rows: impl IntoIterator<Item = Nudge>) {
        let tasks = Task::batch(rows);
        if tasks.is_empty() {
            return;
        }
        if let Err(error) = self.publish(stage, tasks).await {
            warn!(error = chain(&error), stage = stage.as_str(), "Tasks were not taken; the sweeper brings their rows");
        }
    }

    /// The same with rows of several stages.
    pub async fn nudge_stages(&self, rows: &[(Stage, Nudge)]) {
        for stage in Stage::ALL {
            self.nudge(stage, rows.iter().filter(|(to, _)| *to == stage).map(|(_, nudge)| *nudge)).await;
        }
    }

    /// Tasks of a stage, at most `prefetch` of them not yet acknowledged. Connects again by itself.
    #[must_use]
    pub fn consume(&self, stage: Stage, prefetch: u16) -> Consumer {
        match self {
            Self::RabbitMq(rabbit) => {
                let consumer = RabbitConsumer { rabbit: rabbit.clone(), stage, prefetch, open: None, wait: RECONNECT_MIN };
                Consumer::RabbitMq(Box::new(consumer))
            }
            Self::InProcess(local) => Consumer::InProcess(local.queues[&stage].receivers.clone()),
        }
    }

    /// True where it would take a task now.
    pub async fn is_alive(&self) -> bool {
        match self {
            Self::RabbitMq(rabbit) => rabbit.publisher().await.is_ok(),
            Self::InProcess(_) => true,
        }
    }
}

/// One for each lane. Workers of one stage take turns.
type SharedReceivers = Arc<Mutex<Vec<mpsc::Receiver<Task>>>>;

pub struct InProcess {
    queues: HashMap<Stage, InProcessQueues>,
}

struct InProcessQueues {
    senders: Vec<mpsc::Sender<Task>>,
    receivers: SharedReceivers,
}

impl InProcessQueues {
    fn sender(&self, lane: Lane) -> &mpsc::Sender<Task> {
        &self.senders[usize::from(lane.rank().unsigned_abs())]
    }
}

/// The next task of the first lane that has one.
async fn next_of(receivers: &mut [mpsc::Receiver<Task>]) -> Option<Task> {
    std::future::poll_fn(|context| {
        let mut all_closed = true;
        for receiver in receivers.iter_mut() {
            match receiver.poll_recv(context) {
                Poll::Ready(Some(task)) => return Poll::Ready(Some(task)),
                Poll::Ready(None) => {}
                Poll::Pending => all_closed = false,
            }
        }
        if all_closed { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

pub struct RabbitMq {
    url: String,
    home: Home,
    prefix: String,
    publisher: Mutex<Option<(Connection, Channel)>>,
    resting_until: std::sync::Mutex<Option<Instant>>,
}

impl RabbitMq {
    fn queue(&self, stage: Stage, lane: Lane) -> String {
        format!("{}{}", self.prefix, stage.queue(lane))
    }

    /// Connects and declares the whole topology: one quorum queue for each lane of a stage, and one for tasks that were put aside. The caller bounds it.
    async fn connect(&self, name: &str) -> Result<(Connection, Channel), BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let mut uri: AMQPUri = self.url.parse().map_err(BrokerError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let connection = self.home.run(Connection::connect_uri(uri, properties)).await?;
        let channel = connection.create_channel().await?;
        let dead = format!("{}dead", self.prefix);
        let quorum = || {
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            arguments
        };
        let mut arguments = quorum();
        // Tasks that were put aside tell a person which task killed its worker; a day is enough, the rows stay.
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(24 * 60 * 60 * 1000));
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(10_000));
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(dead.clone().into(), durable, arguments).await?;
        for (stage, lane) in Stage::ALL.into_iter().flat_map(|stage| Lane::ALL.map(|lane| (stage, lane))) {
            let mut arguments = quorum();
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
            arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(QUEUE_TASKS_MAX));
            arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
            arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
            arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(dead.clone().into()));
            channel.queue_declare(self.queue(stage, lane).into(), durable, arguments).await?;
        }
        Ok((connection, channel))
    }

    async fn publisher(&self) -> Result<Channel, BrokerError> {
        let mut publisher = self.publisher.lock().await;
        if let Some((connection, channel)) = publisher.as_ref()
            && connection.status().connected()
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        *publisher = None;
        if self.is_resting() {
            return Err(BrokerError::Timeout);
        }
        let open = async {
            let (connection, channel) = self.connect("crossdock publisher").await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok((connection, channel))
        };
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, open).await.unwrap_or(Err(BrokerError::Timeout));
        let (connection, channel) = opened.inspect_err(|_| self.rest())?;
        *publisher = Some((connection, channel.clone()));
        Ok(channel)
    }

    fn is_resting(&self) -> bool {
        self.resting_until.lock().expect("no code panics while it holds the time").is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) {
        *self.resting_until.lock().expect("no code panics while it holds the time") = Some(Instant::now() + REST);
    }

    async fn publish(&self, stage: Stage, tasks: impl IntoIterator<Item = Task>) -> Result<(), BrokerError> {
        if self.is_resting() {
            return Err(BrokerError::Timeout);
        }
        match tokio::time::timeout(PUBLISH_TIMEOUT, self.publish_all(stage, tasks)).await {
            Ok(published) => published,
            Err(_) => {
                self.rest();
                // It may look connected and never answer again: the next publish makes a new one.
                if let Ok(mut publisher) = self.publisher.try_lock() {
                    *publisher = None;
                }
                Err(BrokerError::Timeout)
            }
        }
    }

    async fn publish_all(&self, stage: Stage, tasks: impl IntoIterator<Item = Task>) -> Result<(), BrokerError> {
        let channel = self.publisher().await?;
        let mut confirms = Vec::new();
        for task in tasks {
            let queue = self.queue(stage, task.lane);
            let body = serde_json::to_vec(&task).expect("a task is plain data");
            let persistent = BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into());
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            confirms.push(channel.basic_publish("".into(), queue.into(), options, &body, persistent).await?);
        }
        // All are on the way before the first confirm is awaited: one round trip for the batch.
        for confirm in confirms {
            if !matches!(confirm.await?, Confirmation::Ack(None)) {
                return Err(BrokerError::Refused);
            }
        }
        Ok(())
    }
}

/// Tasks as they come. Dropping it closes its connection; what was not acknowledged goes to another worker.
pub enum Consumer {
    RabbitMq(Box<RabbitConsumer>),
    InProcess(SharedReceivers),
}

pub struct RabbitConsumer {
    rabbit: Arc<RabbitMq>,
    stage: Stage,
    prefetch: u16,
    open: Option<(Connection, SelectAll<lapin::Consumer>)>,
    wait: Duration,
}

impl Consumer {
    /// The next task; waits as long as it takes.
    pub async fn next(&mut self) -> Nudged {
        match self {
            Self::RabbitMq(consumer) => consumer.next().await,
            Self::InProcess(receivers) => match next_of(&mut receivers.lock().await).await {
                Some(task) => Nudged { task, receipt: None },
                None => std::future::pending().await,
            },
        }
    }
}

impl RabbitConsumer {
    async fn next(&mut self) -> Nudged {
        loop {
            // A lane that is not consumed any more, because its queue was deleted, ends alone.
            if self.open.as_ref().is_some_and(|(_, consumers)| consumers.len() < Lane::ALL.len()) {
                self.open = None;
            }
            if let Some((connection, consumer)) = self.open.as_mut() {
                let heard = tokio::time::timeout(LOOK_EVERY, consumer.next()).await;
                if heard.is_err() && connection.status().connected() {
                    continue;
                }
                match heard.unwrap_or_default() {
                    Some(Ok(delivery)) => {
                        if let Some(nudged) = read(delivery).await {
                            return nudged;
                        }
                    }
                    end => {
                        if let Some(Err(error)) = end {
                            warn!(stage = self.stage.as_str(), %error, "Lost the connection to RabbitMQ, connecting again");
                        }
                        self.open = None;
                    }
                }
                continue;
            }
            match tokio::time::timeout(CONSUME_TIMEOUT, self.connect()).await.unwrap_or(Err(BrokerError::Timeout)) {
                Ok(open) => {
                    info!(stage = self.stage.as_str(), "Consuming");
                    self.open = Some(open);
                    self.wait = RECONNECT_MIN;
                }
                Err(error) => {
                    let wait_ms = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
                    warn!(stage = self.stage.as_str(), %error, wait_ms, "RabbitMQ does not answer, trying again in {wait_ms} ms");
                    tokio::time::sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(RECONNECT_MAX);
                }
            }
        }
    }

    /// Consumes the lanes side by side, each with a prefetch of its own: a lane that is full keeps no other from coming.
    async fn connect(&self) -> Result<(Connection, SelectAll<lapin::Consumer>), BrokerError> {
        let (connection, channel) = self.rabbit.connect("crossdock consumer").await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let mut consumers = Vec::new();
        for lane in Lane::ALL {
            let queue = self.rabbit.queue(self.stage, lane);
            let consuming = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
            consumers.push(consuming.await?);
        }
        Ok((connection, select_all(consumers)))
    }
}

/// A task that cannot be read is put aside: no worker could ever do it.
async fn read(delivery: AmqpDelivery) -> Option<Nudged> {
    match serde_json::from_slice::<Task>(&delivery.data) {
        Ok(task) => Some(Nudged { task, receipt: Some(delivery) }),
        Err(error) => {
            warn!(%error, "Put a task aside that cannot be read");
            let reject = delivery.reject(BasicRejectOptions { requeue: false });
            if let Ok(Err(error)) = tokio::time::timeout(ACK_TIMEOUT, reject).await {
                warn!(%error, "The task could not be put aside");
            }
            None
        }
    }
}

/// A task in hand. Dropped without [`Nudged::done`], it is delivered again.
pub struct Nudged {
    pub task: Task,
    receipt: Option<AmqpDelivery>,
}

impl Nudged {
    /// Its rows are committed; the broker may forget it.
    pub async fn done(self) {
        if let Some(delivery) = self.receipt {
            // If this is lost the task comes again and finds nothing to do.
            match tokio::time::timeout(ACK_TIMEOUT, delivery.ack(BasicAckOptions::default())).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "A task could not be acknowledged"),
                Err(_) => warn!("RabbitMQ did not take the end of a task; it brings the task again"),
            }
        }
    }
}
