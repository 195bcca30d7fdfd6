//! Reads a request's body as it came, bounded in bytes and in time. A stranger may send one, so nothing is read on trust.

use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

/// The longest a sender may take; a slower one holds memory for nothing.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the body took longer than {} seconds", READ_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the body is compressed; send it as it is")]
    Compressed,
    #[error("the body broke off")]
    Broken,
    #[error("too many bodies wait at this moment; send it again")]
    NoRoom,
}

impl BodyError {
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Compressed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Reads to the end. `admit` is asked before each piece is kept and may say that there is no room for so many bytes more.
///
/// # Errors
/// Where the body is too large, too slow, compressed or broken off, or there is no room for it.
pub async fn read(
    headers: &HeaderMap,
    mut pieces: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    bytes_max: usize,
    timeout: Duration,
    mut admit: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    // A small compressed piece can unpack to a thousand times its size before any limit is looked at; and hooks sign what they send.
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() != b"identity") {
        return Err(BodyError::Compressed);
    }
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > bytes_max) {
        return Err(BodyError::TooLarge { bytes_max });
    }
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| BodyError::Broken)?;
            if body.len() + piece.len() > bytes_max {
                return Err(BodyError::TooLarge { bytes_max });
            }
            if !admit(piece.len()) {
                return Err(BodyError::NoRoom);
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(timeout, reading).await.unwrap_or(Err(BodyError::TooSlow))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use futures::stream;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn pieces(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, PayloadError>> + Unpin + use<> {
        let pieces: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        stream::iter(pieces)
    }

    #[tokio::test]
    async fn a_body_is_bounded_in_bytes_time_and_room() {
        let plain = HeaderMap::new();
        assert_eq!(read(&plain, pieces(&[4, 6]), 10, SHORT, |_| true).await.unwrap().len(), 10);
        let too_large = Err(BodyError::TooLarge { bytes_max: 10 });
        assert_eq!(read(&plain, pieces(&[4, 7]), 10, SHORT, |_| true).await, too_large);
        let never = pieces(&[4]).chain(stream::pending());
        assert_eq!(read(&plain, never, 10, SHORT, |_| true).await, Err(BodyError::TooSlow));
        assert_eq!(read(&plain, pieces(&[4, 6]), 10, SHORT, |bytes| bytes < 5).await, Err(BodyError::NoRoom));
        let broken = stream::iter([Err(PayloadError::EncodingCorrupted)]);
        assert_eq!(read(&plain, broken, 10, SHORT, |_| true).await, Err(BodyError::Broken));
    }

    #[tokio::test]
    async fn a_body_that_says_it_is_too_large_or_compressed_is_not_read() {
        let unread = || stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, PayloadError>>> { panic!("it was read") });
        let with = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        let told = read(&with(CONTENT_LENGTH, "11"), unread(), 10, SHORT, |_| true).await;
        assert_eq!(told, Err(BodyError::TooLarge { bytes_max: 10 }));
        let packed = read(&with(CONTENT_ENCODING, "gzip"), unread(), 10, SHORT, |_| true).await;
        assert_eq!(packed, Err(BodyError::Compressed));
    }
}
