//! Answers that come one after the other: GraphQL over server-sent events, in its "distinct connections" mode (graphql-sse, PROTOCOL.md). It is a POST as
//! any other, so what holds for a query holds for it: the token, the tenant, the limits. There is no cookie and no WebSocket in it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap};
use async_graphql::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tracing::warn;

/// What is silent for longer is cut by proxies.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
const KIND: &str = "text/event-stream";
const END: &[u8] = b"event: complete\ndata:\n\n";

/// True where whoever asks takes a stream of events, and nothing else.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.split(',').all(|kind| kind.trim().eq_ignore_ascii_case(KIND)))
}

pub fn answer(answers: impl Stream<Item = Response> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(KIND)
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        // nginx would gather it.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events(answers, ALIVE_EVERY).map(Ok::<Bytes, std::convert::Infallible>))
}

/// Each answer as an event, a sign of life where there is none for long, and the end.
fn events(answers: impl Stream<Item = Response> + 'static, alive_every: Duration) -> impl Stream<Item = Bytes> {
    stream::unfold(Some(Box::pin(answers)), move |answers| async move {
        let mut answers = answers?;
        match tokio::time::timeout(alive_every, answers.next()).await {
            Err(_) => Some((Bytes::from_static(b":\n\n"), Some(answers))),
            Ok(None) => Some((Bytes::from_static(END), None)),
            // JSON on one line: a line break within a text is escaped in it.
            Ok(Some(answer)) => match serde_json::to_string(&answer) {
                Ok(json) => Some((format!("event: next\ndata: {json}\n\n").into(), Some(answers))),
                Err(error) => {
                    warn!(%error, "An answer could not be written; its stream ends");
                    Some((Bytes::from_static(END), None))
                }
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_who_takes_nothing_else_is_answered_by_events() {
        let asked = |accepts: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accepts).unwrap());
            is_asked_for(&headers)
        };
        assert!(asked("text/event-stream") && asked("TEXT/EVENT-STREAM"));
        assert!(!asked("*/*") && !asked("application/json, text/event-stream") && !is_asked_for(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn answers_are_events_silence_is_broken_and_the_end_is_said() {
        let (go, may_go) = tokio::sync::oneshot::channel::<()>();
        let slow = stream::once(async {
            let _ = may_go.await;
            Response::new(async_graphql::Value::from("a\nb"))
        });
        let mut events = std::pin::pin!(events(slow, Duration::from_millis(1)));
        let mut next = async || events.next().await.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        assert_eq!(next().await.as_deref(), Some(":\n\n"), "nothing is there yet");
        go.send(()).unwrap();
        let mut told = next().await.unwrap();
        while told == ":\n\n" {
            told = next().await.unwrap();
        }
        assert_eq!(told, "event: next\ndata: {\"data\":\"a\\nb\"}\n\n");
        assert_eq!(next().await.as_deref(), Some("event: complete\ndata:\n\n"));
        assert_eq!(next().await, None);
    }
}
