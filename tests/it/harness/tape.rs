//! What happens to tasks and orders, in the order in which the broker takes note of it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;

use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use jetreel::bus::names;
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId};

use super::site::{Site, awaited};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A task was queued.
    Queued(OrderId, TaskId, TaskQueue),
    /// The first attempt at a task began.
    Begun(OrderId, TaskId),
    /// An order was completed.
    Completed(OrderId),
}

impl Happened {
    /// The order whose task was begun.
    pub(crate) fn begun(&self) -> Option<&OrderId> {
        match self {
            Self::Begun(order, _) => Some(order),
            Self::Queued(..) | Self::Completed(_) => None,
        }
    }

    /// The order that was completed.
    pub(crate) fn completed(&self) -> Option<&OrderId> {
        match self {
            Self::Completed(order) => Some(order),
            Self::Queued(..) | Self::Begun(..) => None,
        }
    }

    /// The order of which a task was queued.
    pub(crate) fn queued(&self) -> Option<&OrderId> {
        match self {
            Self::Queued(order, ..) => Some(order),
            Self::Begun(..) | Self::Completed(_) => None,
        }
    }
}

/// A recording of everything. One subscription, so that its messages have one order.
pub(crate) struct Tape {
    heard: Subscriber,
    begun: BTreeSet<(OrderId, TaskId)>,
}

impl Tape {
    /// Records from now on.
    pub(crate) async fn start(site: &Site) -> Self {
        let client = site.client().await;
        let heard = client.subscribe(">").await.unwrap();
        client.flush().await.unwrap();
        Self { heard, begun: BTreeSet::new() }
    }

    /// Everything up to and with the first that `last` selects.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        last: impl Fn(&Happened) -> bool,
    ) -> Vec<Happened> {
        let coming = async {
            let mut all = Vec::new();
            while let Some(message) = self.heard.next().await {
                let Some(happened) = self.read(&message) else { continue };
                all.push(happened.clone());
                if last(&happened) {
                    return all;
                }
            }
            panic!("the broker went away");
        };
        awaited(what, coming).await
    }

    fn read(&mut self, message: &Message) -> Option<Happened> {
        let text = message.subject.as_str();
        if let Some(queue) = subject::task_queue(text) {
            let (video, number) = subject::owner(text)?;
            let task = subject::task_in(text)?;
            return Some(Happened::Queued(OrderId::new(video, number?), task, queue));
        }
        if let Some(order) = subject::order_in_progress(text) {
            return text.ends_with(".completed").then_some(Happened::Completed(order));
        }
        let key = text.strip_prefix(&names::bucket_subject(names::CLAIMS_BUCKET, ""))?;
        let (order, task) = (subject::order_in_claims(key)?, subject::task_in(key)?);
        let claim: Claim = serde_json::from_slice(&message.payload).ok()?;
        let first = !claim.released && self.begun.insert((order.clone(), task));
        first.then_some(Happened::Begun(order, task))
    }
}
