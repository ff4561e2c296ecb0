//! What users and operators do: upload, cancel, try again.

use jetreel_actors::change;
use jetreel_actors::deadletter::DlqService;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::state::{Order, Part, Source, Status, Video};
use jetreel_domain::words::failure::Failure;

use super::broker::ports;
use super::port::Port;
use super::script::Cut;
use super::server::Stored;
use super::story::Plot;

/// Does it until it is done: a user who gets no answer tries again.
pub(crate) async fn persist<T, F>(user: &Port, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Failure>>,
{
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(_) => user.world.scheduler.hold(1000).await,
        }
    }
}

/// A gateway's handling of an upload: original, state, message.
pub(crate) async fn upload(user: Port, plot: Plot) {
    user.world.scheduler.hold(plot.at).await;
    let ports = ports(&user);
    let key = format!("raw/{}/00000", plot.id);
    let stored = Stored { bytes: "original".into(), modified: user.world.seconds() };
    user.world.with(|server| drop(server.objects.insert(key.clone(), stored)));
    let now = user.world.seconds();
    let mut video = Video::receiving(plot.id.clone(), String::new(), plot.lane, now);
    video.source = Source { bytes: 8, parts: vec![Part { key, bytes: 8 }], ..Source::default() };
    video.advance(1, Status::Queued, now).expect("a video that was received");
    persist(&user, || ports.broker.create_video(&video)).await;
    if plot.silent {
        return;
    }
    let message = Uploaded::new(plot.id, 1, plot.lane);
    persist(&user, || ports.broker.announce_upload(&message)).await;
}

/// Returns when an order of a video is being published.
async fn being_published(user: &Port, id: &VideoId) {
    let publishing = |video: &Video| video.orders.iter().any(|o| o.status == Status::Publishing);
    loop {
        let moved = user.world.moved.notified();
        let found = user.world.look(|server| server.videos.get(id.as_str()));
        if found.is_some_and(|found| publishing(&found.value)) {
            return;
        }
        moved.await;
    }
}

/// A gateway's handling of a cancellation.
pub(crate) async fn cancel(user: Port, plot: Plot) {
    match plot.cancel_at {
        _ if plot.cancel_late => being_published(&user, &plot.id).await,
        Some(at) => user.world.scheduler.hold(at).await,
        None => return,
    }
    let ports = ports(&user);
    let mut cancelled = None;
    let now = user.world.seconds();
    let video = loop {
        let done = change::video(&ports, &plot.id, |video| {
            let newest = video.orders.last().map_or(1, |order| order.number);
            cancelled = video.cancel(newest, now).ok().map(|()| newest);
            Ok(cancelled.is_some())
        });
        match done.await {
            Ok(video) => break video,
            Err(_) => user.world.scheduler.hold(1000).await,
        }
    };
    let (Some(video), Some(number)) = (video, cancelled) else { return };
    user.world.tell(&user.body, format_args!("cancelled {}-{number}", plot.id));
    if change::announce(&ports, &video).await.is_ok() {
        // Whatever fails here, the reconciler does it.
        ports.broker.forget(&OrderId::new(plot.id, number)).await.ok();
    }
}

/// A request to retry everything that failed.
pub(crate) async fn replay(user: Port, at: u64, mended: bool) {
    user.world.scheduler.hold(at).await;
    let found = user.world.look(|server| {
        let videos = server.videos.kept.values().map(|kept| kept.value.clone());
        let failed = |order: &&Order| order.status == Status::Failed && !order.is_closed();
        let ids = |video: Video| {
            let failed = video.orders.iter().filter(failed);
            failed.map(|order| video.order_id(order.number)).collect::<Vec<_>>()
        };
        videos.flat_map(ids).collect::<Vec<OrderId>>()
    });
    for order in found {
        user.world.tell(&user.body, format_args!("replays {order}"));
        if let Some(script) = user.world.scripts().get_mut(&order.video) {
            script.lives += 1;
            if mended && script.cut != Cut::Refused {
                script.poison.clear();
            }
        }
        // Tasks that are not replayed stay failed.
        DlqService::new(&ports(&user)).replay_order(&order).await.ok();
    }
}
