//! Images and progressive files of a short source in one task: each alone is less work than starting a process.
//!
//! Invariant: a batch does the work of its pieces in their order, with the same results. It needs all that its pieces need.

use std::collections::BTreeSet;

use crate::codec::job;
use crate::codec::wire::{ImagesJob, JobWork, PackageJob, PackageTrack, PictureRef};
use crate::id::{Group, TaskId};
use crate::order::ledger::{Object, View};
use crate::plan::cost;
use crate::plan::{Plan, PlannedTask, Work};

/// Largest work of a batch besides the start of its process, in CPU seconds.
const SMALL: f64 = 2.0 * cost::START;

/// The final tasks of an order, joined into one batch if their work is at most [`SMALL`].
#[must_use]
pub fn joined(tail: Vec<PlannedTask>) -> Vec<PlannedTask> {
    let work: f64 = tail.iter().map(|task| task.cost - cost::START).sum();
    // The batch is named after its first progressive file.
    let name = tail.iter().map(|task| task.task).find(|task| task.group == Group::Package);
    let Some(name) = name.filter(|_| tail.len() > 1 && work <= SMALL) else { return tail };
    let needs: BTreeSet<TaskId> = tail.iter().flat_map(|task| &task.needs).copied().collect();
    let pieces = tail.into_iter().map(|task| task.work).collect();
    let needs = needs.into_iter().collect();
    vec![PlannedTask { task: name, work: Work::Batch(pieces), needs, cost: cost::START + work }]
}

/// The jobs of a batch's pieces, and the objects that they copy from.
#[must_use]
pub fn jobs(plan: &Plan, view: &View, pieces: &[Work]) -> (Vec<JobWork>, Vec<Object>) {
    let (mut jobs, mut objects) = (Vec::new(), Vec::new());
    for piece in pieces {
        let first = objects.len() as u32;
        let (job, read) = match piece {
            Work::Images => {
                let (images, read) = job::images_job(plan, view);
                (JobWork::Images(images_from(first, images)), read)
            }
            Work::Package { tier, verify } => {
                let (package, read) = job::package_job(plan, view, *tier, *verify);
                (JobWork::Package(package_from(first, package)), read)
            }
            // These read the source. A batch never contains them.
            Work::Video { .. } | Work::Audio(_) | Work::Batch(_) => continue,
        };
        jobs.push(job);
        objects.extend(read);
    }
    (jobs, objects)
}

/// The job with its objects after `first` others.
fn images_from(first: u32, job: ImagesJob) -> ImagesJob {
    let moved = |picture: PictureRef| PictureRef {
        object: picture.object.saturating_add(first),
        ..picture
    };
    ImagesJob { pictures: job.pictures.into_iter().map(moved).collect(), ..job }
}

/// The job with its objects after `first` others.
fn package_from(first: u32, job: PackageJob) -> PackageJob {
    let moved = |track: PackageTrack| {
        let segments = track.segments.into_iter();
        let segments = segments.map(|(object, segment)| (object.saturating_add(first), segment));
        PackageTrack { segments: segments.collect(), ..track }
    };
    PackageJob { video: moved(job.video), audio: job.audio.map(moved), ..job }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{OrderId, VideoId};
    use crate::order::progress;
    use crate::output::assembly;
    use crate::output::verify;
    use crate::plan::media::ProbeFacts;
    use crate::plan::planner;
    use crate::plan::policy::PlanPolicy;
    use crate::sample;
    use crate::simulate;

    fn short(seconds: i64, policy: &PlanPolicy) -> Plan {
        let order = OrderId::new(VideoId::from_bits(1), 1);
        let mut facts: ProbeFacts = sample::facts();
        let video = facts.video.as_mut().unwrap();
        video.end = seconds * 90_000;
        video.packets = seconds.unsigned_abs() * 25;
        video.random_access.retain(|point| point.pts < video.end);
        facts.audio[0].seconds = seconds as f64;
        planner::plan(order, facts, policy, &sample::limits(), "build", false).unwrap()
    }

    fn tail(plan: &Plan) -> Vec<&PlannedTask> {
        let late = |task: &&PlannedTask| matches!(task.task.group, Group::Images | Group::Package);
        plan.tasks.iter().filter(late).collect()
    }

    fn view(plan: &Plan, seconds: i64) -> View {
        let frames: Vec<i64> = (0..seconds * 25).map(|index| index * 3600).collect();
        let mut view = View::default();
        for planned in &plan.tasks {
            let entries = simulate::entries(plan, planned, &frames);
            entries.into_iter().for_each(|entry| view.insert(entry));
        }
        view
    }

    #[test]
    fn pictures_and_files_of_a_short_source_are_one_task() {
        let plan = short(8, &sample::policy());
        let tail = tail(&plan);
        assert_eq!(tail.len(), 1);
        assert_eq!(tail[0].task, TaskId::new(Group::Package, 0));
        let pieces = tail[0].work.pieces();
        assert_eq!(pieces.len(), 1 + plan.tiers.len());
        assert_eq!(pieces[0], Work::Images);
        let last = plan.tiers.len() - 1;
        assert_eq!(pieces[last + 1], Work::Package { tier: last, verify: true });
        let before: BTreeSet<TaskId> =
            plan.tasks.iter().map(|task| task.task).filter(|task| *task != tail[0].task).collect();
        assert_eq!(tail[0].needs, Vec::from_iter(before), "everything else");
        assert!(tail[0].cost > cost::START && tail[0].cost < 3.0 * cost::START);
    }

    #[test]
    fn those_of_a_long_source_are_tasks_of_their_own() {
        let plan = short(60, &sample::policy());
        assert_eq!(tail(&plan).len(), 1 + plan.tiers.len());
        let alone = short(8, &PlanPolicy { package: false, ..sample::policy() });
        assert_eq!(tail(&alone)[0].work, Work::Images);
        let none = short(8, &PlanPolicy { package: false, images: false, ..sample::policy() });
        assert!(tail(&none).is_empty());
    }

    #[test]
    fn results_of_a_batch_are_found_like_those_of_its_pieces() {
        let plan = short(8, &sample::policy());
        let view = view(&plan, 8);
        verify::asset(&plan, &view).unwrap();
        assert_eq!(progress::percent(&plan, &view), 100);
        assert!(assembly::images(&plan, &view).is_some());
        for tier in 0..plan.tiers.len() {
            assert_eq!(assembly::package(&plan, &view, tier).unwrap().tier, tier);
        }
    }

    #[test]
    fn every_piece_reads_its_own_objects() {
        let plan = short(8, &sample::policy());
        let view = view(&plan, 8);
        let (jobs, objects) = jobs(&plan, &view, tail(&plan)[0].work.pieces());
        let key = |object: u32| objects[object as usize].key.clone();
        let JobWork::Images(images) = &jobs[0] else { panic!("{:?}", jobs[0]) };
        assert!(images.pictures.iter().all(|picture| key(picture.object).ends_with(".jpg")));
        for (tier, job) in jobs[1..].iter().enumerate() {
            let JobWork::Package(package) = job else { panic!("{job:?}") };
            let name = &plan.tiers[tier].name;
            let video = package.video.segments.iter();
            assert!(video.clone().all(|(object, _)| key(*object).contains(name)), "{name}");
            assert_eq!(video.count(), 2);
            let audio = &package.audio.as_ref().unwrap().segments;
            assert!(audio.iter().all(|(object, _)| key(*object).contains("audio-0000")));
        }
    }
}
