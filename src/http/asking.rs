//! Deadlines for reads that a client waits for.

use std::time::Duration;

use jetreel_domain::words::failure::Failure;

/// Deadline of the broker. Stages wait longer, but for a client a 503 now is better than a late answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Deadline if there is a cached answer.
const PATIENCE_WITH_ANSWER: Duration = Duration::from_secs(1);

/// The answer, or a failure after four seconds.
pub(super) async fn soon<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    within(PATIENCE, asked).await
}

/// The answer, or a failure after one second.
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
