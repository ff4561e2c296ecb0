//! Deadlines for reads that a client waits for.

use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A broker that has not answered by then is away. Stages are more patient: for a client, a 503 now is worth more than an answer later.
pub(super) const PATIENCE: Duration = Duration::from_millis(3500);

/// Deadline if there is a cached answer.
const PATIENCE_WITH_ANSWER: Duration = Duration::from_secs(1);

/// The answer, or a failure after [`PATIENCE`]. The question is dropped then.
pub(super) async fn soon<T, E: From<Failure>>(
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(broker_timeout().into()))
}

/// The answer, or a failure within a second. The question is dropped then.
pub(super) async fn at_once<T, E: From<Failure>>(
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(PATIENCE_WITH_ANSWER, asked).await.unwrap_or_else(|_| Err(broker_timeout().into()))
}

/// The result of `work`, or a failure after [`PATIENCE`]. The work is done to its end either way, also where the client goes away; `late`
/// gets the result that came too late for the client.
pub(super) async fn soon_or_later<T, E, F>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
    late: impl FnOnce(Result<T, E>) -> F + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Failure> + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let (tell, mut told) = oneshot::channel();
    let working = tokio::spawn(async move {
        if let Err(untold) = tell.send(work.await) {
            late(untold).await;
        }
    });
    match timeout(PATIENCE, &mut told).await {
        Ok(Ok(done)) => return done,
        // The sender is gone without a result: the work panicked.
        Ok(Err(_)) => {
            if let Err(error) = working.await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        Err(_) => {
            // From now on a result is late.
            told.close();
            if let Ok(done) = told.try_recv() {
                return done;
            }
        }
    }
    Err(broker_timeout().into())
}

/// Waits for `work` for a second at most. It is done to its end either way.
pub(super) async fn briefly(work: impl Future<Output = ()> + Send + 'static) {
    if timeout(PATIENCE_WITH_ANSWER, tokio::spawn(work)).await.is_err() {
        tracing::debug!("a client is answered before the end of its request");
    }
}

/// The failure of a broker that does not answer.
pub(super) fn broker_timeout() -> Failure {
    Failure::dependency("broker-timeout", "The broker does not answer.")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::sleep;

    use super::*;

    async fn asked_for(seconds: u64) -> (Result<u64, Failure>, u32) {
        let late = Arc::<AtomicU32>::default();
        let count = late.clone();
        let work = async move {
            sleep(Duration::from_secs(seconds)).await;
            Ok(seconds)
        };
        let done = soon_or_later(work, async move |_| _ = count.fetch_add(1, Ordering::Relaxed));
        let done = done.await;
        sleep(Duration::from_secs(60)).await;
        (done, late.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_goes_to_the_client_or_is_late() {
        assert_eq!(asked_for(3).await, (Ok(3), 0));
        let (answer, late) = asked_for(30).await;
        assert_eq!((answer.unwrap_err().code.as_str(), late), ("broker-timeout", 1));
    }

    #[tokio::test]
    #[should_panic(expected = "a fault")]
    async fn a_panic_reaches_who_waits() {
        let work = async { panic!("a fault") };
        drop(soon_or_later::<(), Failure, _>(work, async |_| ()).await);
    }
}
