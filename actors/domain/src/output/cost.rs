//! What an order has cost: CPU time and bytes by part, from the ledger while it is open, from the manifest afterwards; and its price.
//!
//! Counted: the CPU time of the codec processes whose results count, also of checkpoints before a restart; the bytes of the original and of
//! every object of the result. Not counted, because no document has it: the CPU time of attempts whose result does not count (failed, lost with
//! their node, or beaten by another), of probes, of the node itself and of its broker; objects of such attempts until they are swept; bytes
//! that viewers fetched. `jetreel_codec_cpu_seconds_total` also counts the processes that succeeded in vain.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::order::ledger::{Object, Output, View};
use crate::output::manifest::{self, Manifest};
use crate::output::price::Prices;
use crate::plan::Plan;

/// Names of parts that are no tier.
const ORIGINAL: &str = "original";
const DECODE: &str = "decode";
const AUDIO: &str = "audio";
const IMAGES: &str = "images";
const PLAYLISTS: &str = "playlists";
/// Starts of processes, composing of images, writing and verifying of progressive files.
const OTHER: &str = "other";

/// The cost of an order in amounts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CostSheet {
    /// Length of the source; 0 if it is unknown yet.
    pub source_seconds: f64,
    /// The original, each tier, and the rest, by name.
    pub parts: BTreeMap<String, Amounts>,
    /// Bytes of one complete play, by tier, with the default audio track.
    pub plays: BTreeMap<String, u64>,
    /// Attempts before the one that counts, of finished tasks. Their CPU time is not counted, but for checkpoints.
    pub attempts_uncounted: u32,
}

/// Amounts of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amounts {
    pub cpu_seconds: f64,
    pub stored_bytes: u64,
}

/// The document for users: amounts with their prices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Priced {
    pub source_seconds: f64,
    pub cpu_seconds: f64,
    /// Bytes that were uploaded.
    pub bytes_in: u64,
    /// Bytes in the store, the original included.
    pub bytes_stored: u64,
    pub currency: String,
    /// Price of the CPU time; `None`: unpriced.
    pub compute: Option<f64>,
    /// Price of a month in the store; `None`: unpriced.
    pub stored_month: Option<f64>,
    pub parts: Vec<PricedPart>,
    /// One complete play of each tier.
    pub plays: Vec<PricedPlay>,
    pub attempts_uncounted: u32,
}

/// A part with its price.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PricedPart {
    pub part: String,
    pub cpu_seconds: f64,
    pub bytes_stored: u64,
    pub compute: Option<f64>,
    pub stored_month: Option<f64>,
}

/// One complete play of a tier, with the default audio track.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PricedPlay {
    pub tier: String,
    /// Bytes that leave for the viewer.
    pub bytes_out: u64,
    pub price: Option<f64>,
}

impl CostSheet {
    /// The cost of an order without a plan: its original.
    #[must_use]
    pub fn of_original(bytes: u64) -> Self {
        let mut sheet = Self::default();
        sheet.part(ORIGINAL).stored_bytes = bytes;
        sheet
    }

    /// The cost of an open order so far.
    #[must_use]
    pub fn of_ledger(plan: &Plan, view: &View) -> Self {
        let mut sheet = Self::of_original(plan.facts.bytes);
        sheet.source_seconds = plan.seconds();
        for planned in &plan.tasks {
            view.outputs(planned.task).for_each(|output| sheet.output(plan, output));
            let entry = view.entry(planned.task);
            sheet.attempts_uncounted += entry.map_or(0, |entry| entry.attempt.saturating_sub(1));
        }
        sheet.rest(manifest::total_cpu(plan, view));
        sheet
    }

    /// The cost of a completed order.
    #[must_use]
    pub fn of_manifest(manifest: &Manifest) -> Self {
        let mut sheet = Self::of_original(manifest.source.bytes);
        sheet.source_seconds = manifest.source.duration_seconds;
        let sound = manifest.audio.iter().find(|track| track.default);
        let sound = sound.map_or(0, |track| track.bytes);
        for tier in &manifest.tiers {
            let part = sheet.part(&tier.name);
            part.cpu_seconds += tier.cpu_seconds;
            part.store(tier.objects.iter().chain(&tier.progressive));
            sheet.plays.insert(tier.name.clone(), tier.bytes + sound);
        }
        let audio = manifest.audio.iter().flat_map(|track| &track.objects);
        sheet.part(AUDIO).store(audio);
        sheet.part(AUDIO).cpu_seconds = manifest.cpu_seconds.audio;
        sheet.part(DECODE).cpu_seconds = manifest.cpu_seconds.decode;
        let images = manifest.images.iter().flat_map(|images| images.files.values());
        let pictures = manifest.chunks.iter().filter_map(|chunk| chunk.pictures.as_ref());
        sheet.part(IMAGES).store(images.chain(pictures));
        sheet.part(PLAYLISTS).store(&manifest.files);
        let whole = manifest.tasks.iter().filter(|task| task.part.is_none());
        sheet.attempts_uncounted = whole.map(|task| task.attempt.saturating_sub(1)).sum();
        sheet.rest(manifest.cpu_seconds.total);
        sheet
    }

    fn part(&mut self, name: &str) -> &mut Amounts {
        self.parts.entry(name.to_owned()).or_default()
    }

    fn output(&mut self, plan: &Plan, output: &Output) {
        match output {
            Output::Chunk(chunk) => {
                self.part(DECODE).cpu_seconds += chunk.decode_cpu_seconds;
                for (index, made) in &chunk.tiers {
                    let Some(tier) = plan.tiers.get(*index) else { continue };
                    let part = self.part(&tier.name);
                    part.cpu_seconds += made.cpu_seconds;
                    part.store(&made.object);
                }
                self.part(IMAGES).store(chunk.pictures.iter().map(|kept| &kept.object));
            }
            Output::Audio(audio) => {
                let part = self.part(AUDIO);
                part.cpu_seconds += audio.cpu_seconds;
                part.store([&audio.object]);
            }
            Output::Images(images) => self.part(IMAGES).store(images.files.values()),
            Output::Package(package) => {
                if let Some(tier) = plan.tiers.get(package.tier) {
                    self.part(&tier.name).store([&package.object]);
                }
            }
        }
    }

    /// Counts what the parts lack of the total.
    fn rest(&mut self, total_cpu_seconds: f64) {
        let rest = total_cpu_seconds - self.cpu_seconds();
        self.part(OTHER).cpu_seconds = rest.max(0.0);
        self.parts.retain(|_, part| *part != Amounts::default());
    }

    /// CPU time of all parts.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        self.parts.values().map(|part| part.cpu_seconds).sum()
    }

    /// Bytes of all parts.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.parts.values().map(|part| part.stored_bytes).sum()
    }

    /// The document for users.
    #[must_use]
    pub fn priced(&self, prices: &Prices) -> Priced {
        let part = |(name, amounts): (&String, &Amounts)| PricedPart {
            part: name.clone(),
            cpu_seconds: amounts.cpu_seconds,
            bytes_stored: amounts.stored_bytes,
            compute: prices.cpu_seconds(amounts.cpu_seconds),
            stored_month: prices.stored_bytes_month(amounts.stored_bytes),
        };
        let play = |(tier, bytes): (&String, &u64)| PricedPlay {
            tier: tier.clone(),
            bytes_out: *bytes,
            price: prices.out_bytes(*bytes),
        };
        let original = self.parts.get(ORIGINAL).copied().unwrap_or_default();
        Priced {
            source_seconds: self.source_seconds,
            cpu_seconds: self.cpu_seconds(),
            bytes_in: original.stored_bytes,
            bytes_stored: self.stored_bytes(),
            currency: prices.currency.clone(),
            compute: prices.cpu_seconds(self.cpu_seconds()),
            stored_month: prices.stored_bytes_month(self.stored_bytes()),
            parts: self.parts.iter().map(part).collect(),
            plays: self.plays.iter().map(play).collect(),
            attempts_uncounted: self.attempts_uncounted,
        }
    }
}

impl Amounts {
    fn store<'a>(&mut self, objects: impl IntoIterator<Item = &'a Object>) {
        self.stored_bytes += objects.into_iter().map(|object| object.bytes).sum::<u64>();
    }
}
