//! Checks bodies of messages against the subjects that they were published to.

use serde::de::DeserializeOwned;

use super::contradiction::{Contradiction, below, hash, of_subject};
use super::entries;
use crate::delivery::message::{EncodeTask, Evaluate, Uploaded, VERSION};
use crate::delivery::stage::Stage;
use crate::delivery::subject;
use crate::order::ledger::{self, Entry};
use crate::order::owner::Owner;
use crate::words::failure::Failure;

/// The body of a message.
pub trait Body: DeserializeOwned {
    /// The newest schema version that this program knows.
    const VERSION: u32;

    /// Schema version of the body.
    fn version(&self) -> u32;

    /// Checks that the body belongs on `subject`.
    ///
    /// # Errors
    /// The contradiction.
    fn agrees(&self, subject: &str) -> Result<(), Contradiction>;

    /// The failure of a message with this contradiction.
    fn refused(contradiction: &Contradiction) -> Failure {
        contradiction.of_message()
    }
}

impl Body for Uploaded {
    const VERSION: u32 = VERSION;

    fn version(&self) -> u32 {
        self.v
    }

    fn agrees(&self, subject: &str) -> Result<(), Contradiction> {
        of_subject(subject, &subject::upload(&self.video))
    }
}

impl Body for EncodeTask {
    const VERSION: u32 = VERSION;

    fn version(&self) -> u32 {
        self.v
    }

    fn agrees(&self, subject: &str) -> Result<(), Contradiction> {
        of_subject(subject, &subject::encode(self.lane, &self.order, self.task))?;
        below(subject, &self.plan, &Owner::Order(self.order.clone()).prefix())?;
        hash(subject, &self.plan_sha256)
    }
}

impl Body for Evaluate {
    const VERSION: u32 = VERSION;

    fn version(&self) -> u32 {
        self.v
    }

    fn agrees(&self, subject: &str) -> Result<(), Contradiction> {
        let stage = subject::stage(subject).unwrap_or(Stage::Publish);
        of_subject(subject, &stage.subject_of(&self.order))
    }
}

impl Body for Entry {
    const VERSION: u32 = ledger::VERSION;

    fn version(&self) -> u32 {
        self.v
    }

    fn agrees(&self, subject: &str) -> Result<(), Contradiction> {
        entries::entry(subject, self)
    }

    fn refused(contradiction: &Contradiction) -> Failure {
        contradiction.of_entry()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Group, OrderId, TaskId, VideoId};
    use crate::order::lane::Lane;

    fn order(bits: u128) -> OrderId {
        OrderId::new(VideoId::from_bits(bits), 1)
    }

    fn task() -> EncodeTask {
        let order = order(1);
        let plan = format!("out/{}/1/plan-x.json", order.video);
        let (task, lane) = (TaskId::new(Group::Main, 3), Lane::Normal);
        EncodeTask { v: 1, order, task, lane, plan, plan_sha256: "00".repeat(32) }
    }

    #[test]
    fn a_body_belongs_to_one_subject() {
        let (mine, other) = (order(1), order(2));
        let evaluate = Evaluate { v: 1, order: mine.clone() };
        assert_eq!(evaluate.agrees(&subject::publish(&mine)), Ok(()));
        assert!(evaluate.agrees(&subject::publish(&other)).is_err());
        let video = mine.video.clone();
        let upload = Uploaded::new(video, 1, Lane::Low);
        assert_eq!(upload.agrees(&subject::upload(&mine.video)), Ok(()));
        let told = upload.agrees(&subject::upload(&other.video)).unwrap_err().to_string();
        assert!(told.contains(mine.video.as_str()) && told.contains(other.video.as_str()));
        let task = task();
        let named = |lane, order: &OrderId, index| {
            subject::encode(lane, order, TaskId::new(Group::Main, index))
        };
        assert_eq!(task.agrees(&named(Lane::Normal, &mine, 3)), Ok(()));
        for subject in [
            named(Lane::High, &mine, 3),
            named(Lane::Normal, &other, 3),
            named(Lane::Normal, &mine, 4),
            named(Lane::Normal, &OrderId { number: 2, ..mine.clone() }, 3),
        ] {
            assert!(task.agrees(&subject).is_err(), "{subject}");
        }
    }

    #[test]
    fn a_task_names_a_plan_of_its_own_order() {
        let subject = subject::encode(Lane::Normal, &order(1), task().task);
        for plan in [
            format!("out/{}/1/plan-x.json", order(2).video),
            format!("out/{}/2/plan-x.json", order(1).video),
            format!("out/{0}/1/../../{0}/2/plan-x.json", order(1).video),
            "raw/x".to_owned(),
        ] {
            assert!(EncodeTask { plan, ..task() }.agrees(&subject).is_err());
        }
        let plan_sha256 = "no hash".to_owned();
        assert!(EncodeTask { plan_sha256, ..task() }.agrees(&subject).is_err());
    }
}
