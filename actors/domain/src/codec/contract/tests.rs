//! Tests of the contract with honest and dishonest transcripts of every task of a plan.

use super::*;
use crate::codec::death::CodecDeath;
use crate::codec::job;
use crate::codec::wire::{
    CodecFailure, FailureCode, FromCodec, Job, JobWork, OUTPUT_BYTES, READ_BYTES_MAX, Report,
    VERSION,
};
use crate::id::{Group, OrderId, TaskId, VideoId};
use crate::lies;
use crate::order::ledger::View;
use crate::plan::batch;
use crate::plan::media::ProbeFacts;
use crate::plan::planner;
use crate::plan::{Plan, Work};
use crate::sample;
use crate::simulate;
use crate::transcript::transcript;

const CPU_SECONDS: f64 = 100.0;

fn instants() -> Vec<i64> {
    (0..1500).map(|index| index * 3600).collect()
}

fn plan(force_class_b: bool) -> Plan {
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let (facts, policy, limits) = (sample::facts(), sample::policy(), sample::limits());
    planner::plan(order, facts, &policy, &limits, "build", force_class_b).unwrap()
}

/// The complete ledger.
fn view(plan: &Plan) -> View {
    let mut view = View::default();
    for planned in &plan.tasks {
        let entries = simulate::entries(plan, planned, &instants());
        entries.into_iter().for_each(|entry| view.insert(entry));
    }
    view
}

fn job_of(plan: &Plan, task: TaskId, done: Vec<u32>) -> Job {
    let planned = plan.task(task).unwrap();
    let work = match &planned.work {
        Work::Video { .. } => JobWork::Video(job::video_job(plan, &planned.work, done).unwrap()),
        Work::Audio(track) => JobWork::Audio(job::audio_job(plan, *track, done)),
        Work::Images => JobWork::Images(job::images_job(plan, &view(plan)).0),
        Work::Package { tier, verify } => {
            JobWork::Package(job::package_job(plan, &view(plan), *tier, *verify).0)
        }
        Work::Batch(pieces) => JobWork::Batch(batch::jobs(plan, &view(plan), pieces).0),
    };
    let budget = sample::limits().task_budget(plan, planned);
    Job { version: VERSION, objects: vec![plan.facts.bytes], budget, work }
}

fn probe_job() -> Job {
    let objects = vec![sample::facts().bytes];
    Job { version: VERSION, objects, budget: sample::limits().budget(), work: JobWork::Probe }
}

fn honest(job: &Job) -> Vec<FromCodec> {
    if job.work == JobWork::Probe {
        return vec![FromCodec::Done(Report::Probe(Box::new(sample::facts())))];
    }
    transcript(&job.work, &instants(), 60 * 48_000)
}

/// The breach that ends a transcript.
fn judged(job: &Job, frames: &[FromCodec]) -> Result<(), Breach> {
    let mut contract = Contract::new(job, CPU_SECONDS);
    frames.iter().try_for_each(|frame| contract.admit(frame).map(|_| ()))
}

/// A job of each kind.
fn jobs() -> Vec<(&'static str, Job)> {
    let plan = plan(false);
    let of = |group, index| job_of(&plan, TaskId::new(group, index), Vec::new());
    let last = plan.tiers.len() as u32 - 1;
    vec![
        ("Probe", probe_job()),
        ("Video", of(Group::Main, 0)),
        ("Audio", of(Group::Audio, 0)),
        ("Images", of(Group::Images, 0)),
        ("Package", of(Group::Package, last)),
        ("Batch", batch_job()),
    ]
}

fn job_named(kind: &str) -> Job {
    jobs().into_iter().find(|(name, _)| *name == kind).unwrap().1
}

#[test]
fn every_task_of_a_plan_may_be_answered_honestly() {
    for force_class_b in [false, true] {
        let plan = plan(force_class_b);
        for planned in &plan.tasks {
            let job = job_of(&plan, planned.task, Vec::new());
            assert_eq!(judged(&job, &honest(&job)), Ok(()), "{}", planned.task);
        }
    }
    assert_eq!(judged(&probe_job(), &honest(&probe_job())), Ok(()));
}

/// The batch of a source of eight seconds.
fn batch_job() -> Job {
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let (mut facts, policy, limits) = (sample::facts(), sample::policy(), sample::limits());
    let video = facts.video.as_mut().unwrap();
    (video.end, video.packets) = (8 * 90_000, 200);
    video.random_access.retain(|point| point.pts < 8 * 90_000);
    let plan = planner::plan(order, facts, &policy, &limits, "build", false).unwrap();
    let job = job_of(&plan, TaskId::new(Group::Package, 0), Vec::new());
    assert!(matches!(job.work, JobWork::Batch(_)), "{job:?}");
    job
}

#[test]
fn a_batch_is_held_to_each_of_its_pieces() {
    let job = batch_job();
    let frames = honest(&job);
    assert_eq!(judged(&job, &frames), Ok(()));
    let is_of = |name: &'static str| move |frame: &FromCodec| matches!(frame, FromCodec::Output { name: own, .. } if own == name);
    let without: Vec<FromCodec> =
        frames.iter().filter(|frame| !is_of("480p.mp4")(frame)).cloned().collect();
    assert!(judged(&job, &without).is_err(), "a file is missing");
    let mut first = frames.clone();
    let last = first.iter().position(is_of("240p.mp4")).unwrap();
    first[..=last].rotate_right(1);
    assert!(judged(&job, &first).is_err(), "a file comes before its turn");
    let mut twice = frames.clone();
    let file = twice[last].clone();
    twice.insert(last + 1, file);
    assert!(judged(&job, &twice).is_err(), "a file comes twice");
    let short = |reports: &[Report]| FromCodec::Done(Report::Batch(reports[1..].to_vec()));
    let Some(FromCodec::Done(Report::Batch(reports))) = frames.last() else { panic!("no report") };
    let cut = [&frames[..frames.len() - 1], &[short(reports)]].concat();
    assert!(judged(&job, &cut).is_err(), "a piece is not reported");
    let mut unverified = reports.clone();
    *unverified.last_mut().unwrap() = Report::Package { verified: None };
    let done = FromCodec::Done(Report::Batch(unverified));
    let careless = [&frames[..frames.len() - 1], &[done]].concat();
    assert!(judged(&job, &careless).is_err(), "a file is not verified");
}

#[test]
fn what_is_stored_already_is_not_sent_again() {
    let plan = plan(true);
    for task in [TaskId::new(Group::Main, 0), TaskId::new(Group::Audio, 0)] {
        let job = job_of(&plan, task, vec![0, 1]);
        assert_eq!(judged(&job, &honest(&job)), Ok(()), "{task}");
        let all = job_of(&plan, task, Vec::new());
        assert!(judged(&job, &honest(&all)).is_err(), "{task}");
    }
}

#[test]
fn every_lie_is_a_breach() {
    let jobs = jobs();
    for (kind, told) in [
        ("Probe", lies::PROBE),
        ("Video", lies::VIDEO),
        ("Audio", lies::AUDIO),
        ("Images", lies::IMAGES),
        ("Package", lies::PACKAGE),
        ("Batch", lies::BATCH),
    ] {
        let job = &jobs.iter().find(|(name, _)| *name == kind).unwrap().1;
        for lie in told {
            let mut frames = honest(job);
            // Empty lists cannot show whether they are bounded.
            let told = frames.iter_mut().any(|frame| (lie.tell)(frame));
            assert!(told, "{}: no frame to lie in", lie.name);
            let breach = judged(job, &frames).err().map(|breach| breach.death);
            assert_eq!(breach, Some(CodecDeath::Protocol), "{}", lie.name);
        }
    }
}

#[test]
fn no_frame_may_be_missing_and_none_may_come_twice_or_late() {
    for (kind, job) in jobs() {
        let frames = honest(&job);
        for index in 0..frames.len() {
            if matches!(frames[index], FromCodec::Progress { .. }) {
                continue;
            }
            let mut twice = frames.clone();
            twice.insert(index, frames[index].clone());
            assert!(judged(&job, &twice).is_err(), "{kind}: {index} twice");
            let mut missing = frames.clone();
            missing.remove(index);
            let complete = judged(&job, &missing).is_ok() && index + 1 < frames.len();
            // Only the codec knows the number of pictures and the content of a file.
            let free = matches!(
                frames[index],
                FromCodec::Picture { .. } | FromCodec::Output { end: false, .. }
            );
            assert!(!complete || free, "{kind}: {index} missing");
            let mut late = frames.clone();
            late.push(frames[index].clone());
            let breach = judged(&job, &late).unwrap_err();
            assert_eq!(breach.rule, "a frame after the last word", "{kind}: {index} late");
        }
    }
}

#[test]
fn an_output_has_exactly_the_names_of_its_job() {
    let job = job_named("Images");
    let mut contract = Contract::new(&job, CPU_SECONDS);
    for number in 0..10_000 {
        let (name, bytes) = (format!("sprite-{number}.jpg"), Vec::new().into());
        let breach = contract.admit(&FromCodec::Output { name, bytes, end: false });
        assert_eq!(breach.unwrap_err().death, CodecDeath::Protocol);
    }
}

#[test]
fn a_file_grows_no_further_than_the_job_explains() {
    let job = job_named("Package");
    let JobWork::Package(package) = &job.work else { panic!("{job:?}") };
    let explained: u64 = package.video.segments.iter().map(|(_, segment)| segment.bytes).sum();
    let mut contract = Contract::new(&job, CPU_SECONDS);
    let piece = FromCodec::Output {
        name: package.name.clone(),
        bytes: vec![0; OUTPUT_BYTES].into(),
        end: false,
    };
    let pieces = (0..).take_while(|_| contract.admit(&piece).is_ok()).count() as u64;
    assert!(pieces < explained / OUTPUT_BYTES as u64 + 3, "{pieces} MiB for {explained}");
}

#[test]
fn signs_of_life_count_as_progress_only_where_they_tell_of_some() {
    let mut contract = Contract::new(&job_named("Video"), CPU_SECONDS);
    let mut tell = |frames| contract.admit(&FromCodec::Progress { frames, pts: 0 });
    assert_eq!(tell(1), Ok(Effect::Progress));
    assert_eq!(tell(1), Ok(Effect::None));
    assert_eq!(tell(2), Ok(Effect::Progress));
    assert!(tell(1).is_err());
    assert!(tell(sample::limits().frames_max).is_err(), "the source has 1500");
}

#[test]
fn reads_stay_inside_and_end_with_their_budget() {
    let job = probe_job();
    let size = job.objects[0];
    let mut contract = Contract::new(&job, CPU_SECONDS);
    let mut read =
        |object, offset, length| contract.admit(&FromCodec::Read { object, offset, length });
    for (object, offset, length) in [
        (1, 0, 1),
        (0, 0, 0),
        (0, size, 1),
        (0, size - 1, 2),
        (0, u64::MAX, u32::MAX),
        (0, 0, READ_BYTES_MAX + 1),
    ] {
        let breach = read(object, offset, length).unwrap_err();
        assert_eq!(breach.death, CodecDeath::Protocol, "{object} {offset} {length}");
    }
    assert_eq!(read(0, size - 1, 1), Ok(Effect::None));
    let tiny = (0..).map(|_| read(0, 0, 1)).take_while(Result::is_ok).count();
    assert!((4_000..20_000).contains(&tiny), "{tiny} reads of a byte");
    assert_eq!(read(0, 0, 1).unwrap_err().death, CodecDeath::Reads);

    let mut contract = Contract::new(&job, CPU_SECONDS);
    let mut large = || contract.admit(&FromCodec::Read { object: 0, offset: 0, length: 8 << 20 });
    let large = (0..).take_while(|_| large().is_ok()).count() as u64 * (8 << 20);
    assert!(large > 4 * size && large < 6 * size + (128 << 20), "{large} bytes");

    let mut contract = Contract::new(&job, CPU_SECONDS);
    assert_eq!(contract.fetched(0), Ok(Effect::None));
    assert_eq!(contract.fetched(1 << 20), Ok(Effect::Progress));
    assert_eq!(contract.fetched(1 << 30).unwrap_err().death, CodecDeath::Reads);
}

#[test]
fn a_frame_is_refused_by_its_length_alone() {
    for (kind, job) in jobs() {
        let contract = Contract::new(&job, CPU_SECONDS);
        for frame in FrameKind::ALL {
            let longest = contract.frame_bytes_max();
            assert!(contract.admit_length(frame, longest + 1).is_err(), "{kind}: {frame:?}");
        }
        // Only a picture task sends much at once.
        assert_eq!(contract.frame_bytes_max() > 2 << 20, kind == "Video", "{kind}");
    }
    let contract = Contract::new(&probe_job(), CPU_SECONDS);
    assert!(contract.admit_length(FrameKind::Fragment, 2000).is_err());
    assert!(contract.admit_length(FrameKind::Read, 100).is_ok());
}

#[test]
fn a_complaint_is_short_and_has_no_control_characters() {
    let text = |length| "x".repeat(length);
    let cases = [
        (text(100), text(1000), true),
        (text(2000), String::new(), false),
        (String::new(), text(10_000), false),
        ("\x1b[2J".to_owned(), String::new(), false),
        (String::new(), "two\nlines".to_owned(), true),
    ];
    for (message, detail, permitted) in cases {
        let code = FailureCode::Unreadable;
        let failure = FromCodec::Failed(CodecFailure { code, message, detail });
        assert_eq!(judged(&probe_job(), std::slice::from_ref(&failure)).is_ok(), permitted);
    }
}

#[test]
fn a_greeting_has_its_form() {
    let weak = |count, length| vec!["x".repeat(length); count];
    let cases = [
        ("jetreel-codec 0.1.0 x264 164", "FULL", weak(2, 100), true),
        ("", "FULL", weak(0, 0), false),
        (&"x".repeat(600), "FULL", weak(0, 0), false),
        ("line\nbreak", "FULL", weak(0, 0), false),
        ("b", "", weak(0, 0), false),
        ("b", "<script>", weak(0, 0), false),
        ("b", "FULL", weak(100, 1), false),
        ("b", "FULL", weak(1, 1000), false),
    ];
    for (build, confinement, weaknesses, permitted) in cases {
        let checked = greeting(build, confinement, &weaknesses);
        assert_eq!(checked.is_ok(), permitted, "{build:?} {confinement:?}");
    }
}

#[test]
fn the_longest_honest_report_fits_its_frame() {
    let job = probe_job();
    let mut facts: ProbeFacts = sample::facts();
    let video = facts.video.as_mut().unwrap();
    video.packets = 2_600_000;
    let points = crate::plan::media::DENSE_POINTS_MAX + 10_800;
    let far = |index: usize| sample::point(1 << 59 | index as i64);
    video.random_access = (0..points).map(far).collect();
    facts.streams = 64;
    facts.audio = (1..64)
        .map(|stream| crate::plan::media::AudioTrack { stream, ..sample::sound() })
        .collect();
    facts.warnings = vec!["A sentence of usual length that a user should know.".to_owned(); 64];
    let report = FromCodec::Done(Report::Probe(Box::new(facts)));
    assert_eq!(judged(&job, std::slice::from_ref(&report)), Ok(()));
    let longest = Contract::new(&job, CPU_SECONDS).frame_bytes_max();
    // 32 bytes per point, 9 of which are an instant.
    assert!(longest > points * 32 && longest < 2 << 20, "{longest}");
}
