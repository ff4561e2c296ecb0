//! The publishers: what they know, evaluate and release.

use super::model::{Cluster, Event};
use crate::delivery::eligibility::{Offer, Rules};
use crate::delivery::label::Label;
use crate::id::{Group, OrderId, TaskId};
use crate::order::admission;
use crate::order::line::{Phase, Row};
use crate::order::release::{self, Windows};
use crate::order::state::{Fact, Status};
use crate::upkeep::presence::Presence;
use crate::upkeep::waits::Scarce;

impl Cluster {
    /// Writes the state of an order. Every publisher sees it a moment later, and none before an earlier write.
    pub(super) fn write(&mut self, job: usize) {
        self.log.push(self.open[job].video.clone());
        for view in 0..self.views.len() {
            let delay = self.rng.within(self.setup.log);
            let at = (self.clock.now + delay).max(self.views[view].read_at);
            self.views[view].read_at = at;
            self.clock.after(at - self.clock.now, Event::Read(view));
        }
    }

    pub(super) fn read(&mut self, view: usize) {
        let slots = self.slots();
        let next = self.views[view].read;
        let known = &mut self.views[view];
        known.admission.enter(&self.log[next]);
        known.read += 1;
        for order in known.admission.look(slots) {
            if self.is_mine(view, &order) {
                let job = self.by_order[&order];
                self.evaluate_soon(view, job);
            }
        }
    }

    /// Names of the publishers, as far as the others know.
    fn names(&self) -> Vec<String> {
        let noticed = self.setup.death.is_some_and(|(at, after)| self.clock.now >= at + after);
        (usize::from(noticed)..self.views.len()).map(|view| format!("n{view}")).collect()
    }

    fn is_mine(&self, view: usize, order: &OrderId) -> bool {
        let names = self.names();
        admission::is_among(order, &format!("n{view}"), names.iter().map(String::as_str), 1)
    }

    fn evaluate_soon(&mut self, view: usize, job: usize) {
        if self.rng.chance(self.setup.crash) {
            return;
        }
        let takes = self.rng.within(self.setup.evaluation);
        self.clock.after(takes, Event::Evaluate { view, job });
    }

    pub(super) fn evaluate(&mut self, view: usize, job: usize) {
        self.report.evaluations += 1;
        if self.rng.chance(self.setup.crash) {
            // The entry is delivered again.
            self.clock.after(self.setup.again, Event::Evaluate { view, job });
            return;
        }
        if self.open[job].status() != Status::Encoding {
            return;
        }
        self.learn(job);
        let (open, admission) = (&self.open[job], &self.views[view].admission);
        let order = &open.video.orders[0];
        let windows = admission.windows(&open.video, order);
        let tells = admission.tells_tail(&open.video, order);
        self.release(job, windows);
        let open = &mut self.open[job];
        let steps = open.job.work.steps();
        if open.finished.len() == steps.len() {
            open.video.orders[0].status = Status::Publishing;
            self.write(job);
            let publish = self.rng.within(self.setup.publish);
            self.clock.after(publish, Event::Completed(job));
        } else if tells && !open.video.orders[0].tail {
            let left = release::left(&steps, Phase::Bulk, |task| open.finished.contains(&task));
            if left <= windows.bulk {
                open.video.orders[0].tail = true;
                self.write(job);
            }
        }
    }

    /// Queues what is due.
    pub(super) fn release(&mut self, job: usize, windows: Windows) {
        let open = &self.open[job];
        let steps = open.job.work.steps();
        let due = release::due_of(&steps, |task| open.finished.contains(&task), windows);
        for task in due {
            if self.open[job].queued.insert(task) {
                self.queue(job, task);
            }
        }
    }

    /// A part is there. Its entry has an order evaluated, like that of a finished task.
    pub(super) fn part(&mut self, job: usize, task: TaskId) {
        self.open[job].parts.insert(task);
        if self.is_playable(job) {
            self.report.told[job].playable.get_or_insert(self.clock.now);
            if !self.open[job].finished.contains(&task) {
                let view = self.rng.below(self.views.len() as u64) as usize;
                let entry = self.rng.within(self.setup.entry);
                self.clock.after(entry, Event::Evaluate { view, job });
            }
        }
    }

    fn is_playable(&self, job: usize) -> bool {
        let open = &self.open[job];
        let steps = open.job.work.steps();
        let split = steps.iter().any(|step| step.task.group == Group::First);
        let mut needed = steps.iter().map(|step| step.task).filter(|task| match task.group {
            Group::First => true,
            Group::Audio => task.index == 0,
            Group::Main => !split,
            Group::Top | Group::Images | Group::Package => false,
        });
        needed.all(|task| open.parts.contains(&task))
    }

    /// All tiers have their pictures, and the sound is complete.
    fn has_tiers(&self, job: usize) -> bool {
        let open = &self.open[job];
        let steps = open.job.work.steps();
        let mut needed = steps.iter().map(|step| step.task).filter(|task| match task.group {
            Group::First | Group::Audio | Group::Main | Group::Top => true,
            Group::Images | Group::Package => false,
        });
        needed.all(|task| open.finished.contains(&task))
    }

    /// Records what is known, with one write.
    fn learn(&mut self, job: usize) {
        let now = (self.clock.now / 1000) as i64;
        let known = [
            (Fact::Playable, self.is_playable(job)),
            (Fact::Tier("all".to_owned()), self.has_tiers(job)),
        ];
        let video = &mut self.open[job].video;
        let before = video.seq;
        known.into_iter().filter(|(_, is)| *is).for_each(|(fact, _)| video.learn(1, fact, now));
        if video.seq > before {
            self.write(job);
        }
    }

    pub(super) fn completed(&mut self, job: usize) {
        self.open[job].video.orders[0].status = Status::Completed;
        self.report.told[job].completed = Some(self.clock.now);
        self.ended += 1;
    }

    /// What the nodes report.
    fn reports(&self) -> Vec<Presence> {
        let label: Label = "gpu".parse().expect("a label");
        let needs = self.setup.able.map(|_| (Group::Top, [label.clone()].into()));
        let rules = Rules { needs: needs.into_iter().collect(), ..Rules::default() };
        let report = |node| {
            let labels = self.is_able(node, Group::Top).then(|| label.clone());
            Presence {
                roles: ["encode".to_owned()].into(),
                slots: self.setup.slots,
                offer: Offer { labels: labels.into_iter().collect(), hours: None },
                rules: rules.clone(),
                ..Presence::default()
            }
        };
        (0..self.setup.nodes).map(report).collect()
    }

    /// Looks at the queues.
    pub(super) fn look(&mut self, view: usize) {
        let (names, own) = (self.names(), format!("n{view}"));
        let (waiting, reports) = (self.waiting_by_queue(), self.reports());
        let scarce = Scarce::of(reports.iter(), 0);
        for row in Row::all() {
            let waiting = scarce.waiting(row, &waiting);
            let mine = |order: &OrderId, count| {
                admission::is_among(order, &own, names.iter().map(String::as_str), count)
            };
            for order in self.views[view].admission.ask_again(row, waiting, mine) {
                self.report.asked_again += 1;
                let job = self.by_order[&order];
                self.evaluate_soon(view, job);
            }
        }
        self.clock.after(self.setup.look, Event::Look(view));
    }
}
