//! Releases of tasks by any node, heard on the subjects of the lanes.

use futures::StreamExt as _;
use futures::stream::SelectAll;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::lane::Lane;
use tokio::sync::mpsc::UnboundedSender;

use super::connection::Bus;

impl Bus {
    /// Hands over every task that is published to a lane, by whatever node, stored or not. Ends with the receiver or the connection.
    pub(super) async fn tell_releases(&self, into: &UnboundedSender<(OrderId, TaskId)>) {
        let lane = subject::encode_filter(Lane::High, Group::First);
        let roots = subject::roots().into_iter();
        let mut heard = SelectAll::new();
        for lanes in roots.filter(|root| lane.starts_with(root.trim_end_matches('>'))) {
            match self.client.subscribe(lanes).await {
                Ok(listened) => heard.push(listened),
                Err(error) => tracing::debug!(%error, "releases of other nodes are not heard"),
            }
        }
        while let Some(message) = heard.next().await {
            if let Some(release) = released(&message.subject)
                && into.send(release).is_err()
            {
                return;
            }
        }
    }
}

/// The task in a subject of a lane.
fn released(subject: &str) -> Option<(OrderId, TaskId)> {
    let (video, number) = subject::owner(subject)?;
    Some((OrderId::new(video, number?), subject::task_in(subject)?))
}

#[cfg(test)]
mod tests {
    use jetreel_domain::id::VideoId;

    use super::*;

    #[test]
    fn a_release_says_which_task_of_which_order_it_is() {
        let (order, task) = (OrderId::new(VideoId::from_bits(5), 2), TaskId::new(Group::Main, 7));
        let subject = subject::encode(Lane::Low, &order, task);
        assert_eq!(released(&subject), Some((order.clone(), task)));
        assert_eq!(released(&subject::publish(&order)), None);
    }
}
