//! Panics of work as failures, so that their attempts are charged and reported like any other.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use jetreel_domain::words::failure::Failure;

/// Runs work whose panic is a fault of its message. The actor lives on; nothing that the work changed is used again.
///
/// # Errors
/// The work failed, or panicked.
pub(crate) async fn caught<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(panic) => Err(failure(panic.as_ref())),
    }
}

fn failure(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    Failure::task("stage-panicked", "The stage stopped at an unexpected state.").with_detail(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure_with_its_text() {
        let chunk = 7;
        let failed = caught::<()>(async move { panic!("chunk {chunk}") }).await.unwrap_err();
        assert_eq!((failed.code.as_str(), failed.detail.as_str()), ("stage-panicked", "chunk 7"));
        assert_eq!(caught(async { Ok(3) }).await, Ok(3));
    }
}
