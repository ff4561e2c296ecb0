//! Pace of a request's body: how long the server waits for a client that sends nothing, or next to nothing.
//!
//! Only the time spent waiting for the client counts. A slow disk costs the client nothing.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout};

/// Required pace of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Longest time without a byte.
    pub idle: Duration,
    /// Bytes that earn one more second, up to `idle`. 0: any byte earns all of `idle`.
    pub bytes_per_second: u32,
}

/// Why a body ended before its last byte.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke.
    #[error(transparent)]
    Broken(axum::Error),
    /// The client sent too little for too long.
    #[error("the client stopped sending, or sends too slowly")]
    Stalled,
}

/// Time that the server will still wait for the client.
#[derive(Debug, Clone, Copy)]
struct Credit {
    pace: Pace,
    left: Duration,
}

impl Credit {
    fn new(pace: Pace) -> Self {
        Self { pace, left: pace.idle }
    }

    fn after(self, waited: Duration, bytes: usize) -> Self {
        let rate = f64::from(self.pace.bytes_per_second);
        let earned = Duration::try_from_secs_f64(bytes as f64 / rate).unwrap_or(self.pace.idle);
        let left = self.left.saturating_sub(waited).saturating_add(earned).min(self.pace.idle);
        Self { left, ..self }
    }
}

/// A body that ends with [`BodyError::Stalled`] if the client does not keep the pace.
pub(super) fn paced<B>(body: B, pace: Pace) -> impl Stream<Item = Result<Bytes, BodyError>> + Send
where
    B: Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin,
{
    stream::try_unfold((body, Credit::new(pace)), |(mut body, credit)| async move {
        let asked = Instant::now();
        match timeout(credit.left, body.next()).await {
            Ok(Some(Ok(bytes))) => {
                let credit = credit.after(asked.elapsed(), bytes.len());
                Ok(Some((bytes, (body, credit))))
            }
            Ok(Some(Err(error))) => Err(BodyError::Broken(error)),
            Ok(None) => Ok(None),
            Err(_) => Err(BodyError::Stalled),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { idle: Duration::from_secs(30), bytes_per_second: 500 };

    /// When a client that sends `bytes` every `every` seconds is disconnected. `None` if not within an hour.
    async fn cut_off(bytes: usize, every: u64) -> Option<u64> {
        let begun = Instant::now();
        let sent = stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_secs(every)).await;
            Some((Ok(Bytes::from(vec![0; bytes])), ()))
        });
        let mut body = std::pin::pin!(paced(Box::pin(sent), PACE));
        while begun.elapsed() < Duration::from_secs(3600) {
            match body.next().await {
                Some(Ok(_)) => {}
                Some(Err(BodyError::Stalled)) => return Some(begun.elapsed().as_secs()),
                Some(Err(BodyError::Broken(_))) | None => unreachable!(),
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_next_to_nothing_is_cut_off() {
        assert_eq!(cut_off(1, 3600).await, Some(30));
        assert!(cut_off(1, 1).await.is_some_and(|seconds| (29..=32).contains(&seconds)));
        assert!(cut_off(400, 1).await.is_some_and(|seconds| seconds > 100));
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_the_pace_may_take_any_time() {
        assert_eq!(cut_off(600, 1).await, None);
        assert_eq!(cut_off(20_000, 29).await, None);
    }
}
