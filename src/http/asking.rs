//! Questions that a client waits for: answered soon, or not at all.

use std::time::Duration;

use jetreel_domain::words::failure::Failure;

/// A broker that has not answered by then is away. Stages are more patient: for a client, a 503 now is worth more than an answer later.
const PATIENCE: Duration = Duration::from_secs(4);

/// The same, where there is something to answer with instead.
const PATIENCE_WITH_ANSWER: Duration = Duration::from_secs(1);

/// The answer, or a failure within four seconds.
pub(super) async fn soon<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    within(PATIENCE, asked).await
}

/// The answer, or a failure within a second.
pub(super) async fn at_once<T>(
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    within(PATIENCE_WITH_ANSWER, asked).await
}

async fn within<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::dependency("broker-timeout", "The broker does not answer.")),
    }
}
