//! Has an actor look whenever a watched value changes.

use ractor::ActorRef;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Sends a message at every change, and once more when the node drains.
pub(super) fn follow<T: Send + Sync + 'static, M: ractor::Message>(
    mut changes: watch::Receiver<T>,
    drain: CancellationToken,
    actor: ActorRef<M>,
    look: fn() -> M,
) {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = drain.cancelled() => {}
                // If nothing can change any more, only the drain is waited for.
                Ok(()) = changes.changed() => {}
            }
            if actor.cast(look()).is_err() || drain.is_cancelled() {
                return;
            }
        }
    });
}
