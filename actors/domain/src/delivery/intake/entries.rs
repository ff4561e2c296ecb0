//! Checks ledger entries against their subjects. A forged entry must not make another video's object its result.

use super::contradiction::{Contradiction, ensure, is_segment, object, of_subject};
use crate::codec::wire::Segment;
use crate::delivery::subject;
use crate::order::ledger::{
    AudioOutput, ChunkOutput, Entry, ImagesOutput, Object, Output, PackageOutput, PicturesOutput,
    TierOutput,
};

/// Most ticks from the beginning of an output: twelve hours at a gigahertz, twenty times over.
const TICKS_MAX: i64 = 1 << 50;

/// Checks an entry that was found on `subject`.
///
/// # Errors
/// The first contradiction.
pub fn entry(subject: &str, entry: &Entry) -> Result<(), Contradiction> {
    let Entry { order, task, .. } = entry;
    let own = match entry.part {
        None => subject::ledger(order, *task),
        Some(part) => subject::ledger_part(order, *task, part),
    };
    of_subject(subject, &own)?;
    seconds(subject, entry.cpu_seconds)?;
    let prefix = format!("out/{}/{}/{task}/", order.video, order.number);
    let place = Place { subject, prefix };
    entry.outputs.iter().try_for_each(|output| match output {
        Output::Chunk(chunk) => place.chunk(chunk),
        Output::Audio(audio) => place.audio(audio),
        Output::Images(images) => place.images(images),
        Output::Package(PackageOutput { object, .. }) => place.object(object),
    })
}

/// Fails unless the time is finite and can be summed and written.
fn seconds(subject: &str, seconds: f64) -> Result<(), Contradiction> {
    ensure(seconds.is_finite() && seconds >= 0.0, subject, "a time is not possible")
}

/// The place of an entry, and the prefix of its objects' keys.
struct Place<'a> {
    subject: &'a str,
    prefix: String,
}

impl Place<'_> {
    fn object(&self, found: &Object) -> Result<(), Contradiction> {
        object(self.subject, found, &self.prefix)
    }

    fn ensure(&self, holds: bool, what: &str) -> Result<(), Contradiction> {
        ensure(holds, self.subject, what)
    }

    fn chunk(&self, chunk: &ChunkOutput) -> Result<(), Contradiction> {
        seconds(self.subject, chunk.decode_cpu_seconds)?;
        chunk.tiers.values().try_for_each(|tier| self.tier(tier))?;
        chunk.pictures.iter().try_for_each(|pictures| self.pictures(pictures))
    }

    fn tier(&self, tier: &TierOutput) -> Result<(), Contradiction> {
        tier.object.iter().try_for_each(|object| self.object(object))?;
        seconds(self.subject, tier.cpu_seconds)?;
        self.times(tier.start, tier.end)?;
        let bytes = tier.object.as_ref().map_or(0, |object| object.bytes);
        self.segments(&tier.segments, bytes)
    }

    fn audio(&self, audio: &AudioOutput) -> Result<(), Contradiction> {
        self.object(&audio.object)?;
        seconds(self.subject, audio.cpu_seconds)?;
        seconds(self.subject, audio.lost_seconds)?;
        self.times(audio.start, audio.end)?;
        self.segments(&audio.segments, audio.object.bytes)
    }

    fn times(&self, start: i64, end: i64) -> Result<(), Contradiction> {
        let possible = |tick: i64| (-TICKS_MAX..=TICKS_MAX).contains(&tick);
        self.ensure(possible(start) && possible(end), "a time is not possible")
    }

    /// Fails unless the segments lie within their object. Players request these ranges.
    fn segments(&self, segments: &[Segment], bytes: u64) -> Result<(), Contradiction> {
        let within = |segment: &Segment| {
            segment.offset.checked_add(segment.bytes).is_some_and(|end| end <= bytes)
        };
        self.ensure(segments.iter().all(within), "a segment lies outside its object")?;
        segments.iter().try_for_each(|segment| self.times(segment.start, segment.duration))
    }

    fn pictures(&self, kept: &PicturesOutput) -> Result<(), Contradiction> {
        self.object(&kept.object)?;
        let mut pictures = kept.pictures.iter();
        let within = pictures.all(|picture| {
            let end = picture.offset.checked_add(u64::from(picture.bytes));
            end.is_some_and(|end| end <= kept.object.bytes)
        });
        self.ensure(within, "a picture lies outside its object")
    }

    fn images(&self, images: &ImagesOutput) -> Result<(), Contradiction> {
        images.files.values().try_for_each(|object| self.object(object))?;
        let mut names = images.files.keys().chain([&images.poster, &images.vtt]);
        self.ensure(names.all(|name| is_segment(name)), "a file has a name that is none")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::id::{Group, OrderId, TaskId, VideoId};
    use crate::plan::planner;
    use crate::sample;
    use crate::simulate;

    fn order(bits: u128) -> OrderId {
        OrderId::new(VideoId::from_bits(bits), 1)
    }

    fn written() -> Vec<Entry> {
        let (policy, limits) = (sample::policy(), sample::limits());
        let plan = planner::plan(order(1), sample::facts(), &policy, &limits, "build", false);
        let plan = plan.unwrap();
        let frames: Vec<i64> = (0..1500).map(|index| index * 3600).collect();
        let all = plan.tasks.iter().flat_map(|task| simulate::entries(&plan, task, &frames));
        all.collect()
    }

    fn place(entry: &Entry) -> String {
        match entry.part {
            None => subject::ledger(&entry.order, entry.task),
            Some(part) => subject::ledger_part(&entry.order, entry.task, part),
        }
    }

    #[test]
    fn what_workers_write_agrees() {
        let entries = written();
        assert!(entries.len() > 10);
        for found in &entries {
            assert_eq!(entry(&place(found), found), Ok(()));
        }
    }

    #[test]
    fn an_entry_belongs_to_one_subject() {
        let found = written().remove(0);
        for subject in [
            subject::ledger(&order(2), found.task),
            subject::ledger(&OrderId { number: 2, ..order(1) }, found.task),
            subject::ledger(&order(1), TaskId::new(Group::Top, 7)),
            subject::ledger_part(&order(1), found.task, 0),
        ] {
            assert!(entry(&subject, &found).is_err(), "{subject}");
        }
    }

    fn with(outputs: Vec<Output>) -> Entry {
        Entry { part: None, outputs, ..written().remove(0) }
    }

    fn contradicts(output: Output) {
        let found = with(vec![output]);
        assert!(entry(&place(&found), &found).is_err(), "{found:?}");
    }

    fn object(key: &str) -> Object {
        Object { key: key.into(), bytes: 9, sha256: "00".repeat(32) }
    }

    fn images(key: &str) -> Output {
        let files = BTreeMap::from([("poster.jpg".to_owned(), object(key))]);
        Output::Images(ImagesOutput { files, poster: "poster.jpg".into(), vtt: "a.vtt".into() })
    }

    fn package(key: &str) -> Output {
        Output::Package(PackageOutput { tier: 0, object: object(key), verified: None })
    }

    #[test]
    fn objects_of_others_are_no_results() {
        let task = written().remove(0).task;
        let own = format!("out/{}/1/{task}/writer/poster.jpg", order(1).video);
        for make in [images as fn(&str) -> Output, package] {
            let found = with(vec![make(&own)]);
            assert_eq!(entry(&place(&found), &found), Ok(()));
            for key in [
                format!("raw/{}/00000", order(2).video),
                format!("raw/{}/00000", order(1).video),
                format!("out/{}/1/{task}/writer/poster.jpg", order(2).video),
                format!("out/{}/2/{task}/writer/poster.jpg", order(1).video),
                format!("out/{0}/1/{task}/../../../{0}/2/a", order(1).video),
            ] {
                contradicts(make(&key));
            }
        }
    }

    #[test]
    fn pieces_lie_within_their_object_and_numbers_can_be_added_up() {
        let chunk = written().into_iter().find_map(|entry| match entry.outputs.first() {
            Some(Output::Chunk(chunk)) => Some((entry.clone(), chunk.clone())),
            Some(_) | None => None,
        });
        let (entry_of, chunk) = chunk.unwrap();
        let tier = |edit: fn(&mut TierOutput)| {
            let mut chunk = chunk.clone();
            chunk.tiers.values_mut().for_each(edit);
            Entry { outputs: vec![Output::Chunk(chunk)], ..entry_of.clone() }
        };
        let edits: [fn(&mut TierOutput); 5] = [
            |tier| tier.segments[0].bytes = u64::MAX,
            |tier| tier.segments[0].offset = 1 << 40,
            |tier| tier.segments[0].duration = i64::MAX,
            |tier| tier.end = i64::MIN,
            |tier| tier.cpu_seconds = f64::NAN,
        ];
        for edit in edits {
            let found = tier(edit);
            assert!(entry(&place(&found), &found).is_err());
        }
    }
}
