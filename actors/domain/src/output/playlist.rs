//! HLS playlists (RFC 8216, version 7, fragmented MP4), rendered from the plan and the ledger.
//!
//! While an order is open its playlists have the type EVENT and only grow: a line never changes. When the order has ended they have the
//! type VOD, with measured durations and bit rates.
//!
//! Invariant: no text from an upload reaches a playlist unchecked. Names of tiers come from the settings, keys from Jetreel itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::codec::wire::Segment;
use crate::id::VideoId;
use crate::order::ledger::{Object, View};
use crate::order::progress;
use crate::output::assembly;
use crate::output::bitrate::{BitRate, Weight, measure};
use crate::output::language;
use crate::plan::cost;
use crate::plan::{AudioPlan, Plan};
use crate::words::printable::printable;

/// Codecs string (RFC 6381) of Jetreel's audio: AAC-LC.
const AUDIO_CODEC: &str = "mp4a.40.2";

/// Players begin with the first variant of the master playlist. It is the largest one below this rate, in bits per second, so that it
/// starts at once on a common mobile connection (Apple's authoring specification recommends about 2 Mb/s).
const START_RATE_MAX: u32 = 2_000_000;

/// A media segment of a playlist.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece<'a> {
    /// Object of the segment.
    pub object: &'a Object,
    pub segment: &'a Segment,
    /// Duration in ticks of the rendition.
    pub ticks: i64,
}

/// The master playlist. With the view of a complete order its bit rates are measured; before, they are those of the plan. A finished track
/// without audio is left out, because players wait for the playlist of a track that they chose.
#[must_use]
pub fn master(plan: &Plan, view: Option<&View>) -> String {
    let mut text = head();
    let is_silent = |index: usize| view.is_some_and(|view| is_silent(view, index));
    let audio: Vec<(usize, &AudioPlan)> =
        plan.audio.iter().enumerate().filter(|(index, _)| !is_silent(*index)).collect();
    let view = view.filter(|view| progress::complete(plan, view));
    let names = track_names(plan);
    for (index, track) in &audio {
        rendition(&mut text, &names[*index], track);
    }
    let start = plan.tiers.iter().position(|tier| tier.max_rate <= START_RATE_MAX);
    let start = start.unwrap_or_else(|| plan.tiers.len().saturating_sub(1));
    let rest = (0..plan.tiers.len()).filter(|tier| *tier != start);
    for tier in std::iter::once(start).chain(rest) {
        variant(&mut text, plan, view, tier, !audio.is_empty());
    }
    text
}

/// The media playlist of a tier: the contiguous prefix of its chunks.
#[must_use]
pub fn video(plan: &Plan, view: &View, tier: usize, ended: bool) -> String {
    let name = plan.tiers.get(tier).map_or("", |tier| &tier.name);
    let pieces = video_pieces(plan, view, tier, ended);
    media(plan, name, f64::from(plan.timescale), &pieces, ended)
}

/// The media playlist of an audio track: the contiguous prefix of its parts.
#[must_use]
pub fn audio(plan: &Plan, view: &View, track: usize, ended: bool) -> String {
    let (name, rate) = plan.audio.get(track).map_or(("", 1), |a| (a.name.as_str(), a.sample_rate));
    let pieces = audio_pieces(view, track, ended);
    media(plan, name, f64::from(rate), &pieces, ended)
}

/// The segments of a tier. In an ended order each lasts until the next one starts, and so covers gaps of the source between chunks.
#[must_use]
pub fn video_pieces<'a>(
    plan: &'a Plan,
    view: &'a View,
    tier: usize,
    ended: bool,
) -> Vec<Piece<'a>> {
    let parts = assembly::tier_prefix(plan, view, tier);
    let stored = parts.into_iter().filter_map(|part| Some((part.object.as_ref()?, &part.segments)));
    pieces(stored.flat_map(|(object, segments)| segments.iter().map(move |s| (object, s))), ended)
}

/// The segments of an audio track.
#[must_use]
pub fn audio_pieces(view: &View, track: usize, ended: bool) -> Vec<Piece<'_>> {
    let parts = assembly::audio_prefix(view, track);
    let stored = parts.into_iter().map(|part| (&part.object, &part.segments));
    pieces(stored.flat_map(|(object, segments)| segments.iter().map(move |s| (object, s))), ended)
}

/// File name of the initialisation segment of a tier or audio track.
#[must_use]
pub fn init_name(rendition: &str) -> String {
    format!("init-{rendition}.mp4")
}

/// Address of an object relative to a playlist at the video's root: `out/<video>/<rest>` is served as `o/<rest>`.
#[must_use]
pub fn object_uri(video: &VideoId, object: &Object) -> String {
    let rest = object.key.strip_prefix("out/").and_then(|key| key.strip_prefix(video.as_str()));
    let rest = rest.and_then(|key| key.strip_prefix('/')).unwrap_or(&object.key);
    format!("o/{rest}")
}

/// The initialisation segment of a tier or audio track; `None` before any of it is stored.
#[must_use]
pub fn init(plan: &Plan, view: &View, rendition: &str) -> Option<Vec<u8>> {
    if let Some(tier) = plan.tiers.iter().position(|tier| tier.name == rendition) {
        let chunks = assembly::tier(plan, view, tier);
        let stored = chunks.values().find(|(_, part)| part.object.is_some());
        return stored.map(|(_, part)| part.init.to_vec());
    }
    let track = plan.audio.iter().position(|audio| audio.name == rendition)?;
    let parts = assembly::audio_prefix(view, track);
    parts.first().map(|part| part.init.to_vec())
}

/// Rate of a variant: its tier with the largest audio track.
#[must_use]
pub fn variant_rate(plan: &Plan, view: &View, tier: usize) -> BitRate {
    let picture = rate(plan, &video_pieces(plan, view, tier, true), f64::from(plan.timescale));
    let sound = plan.audio.iter().enumerate().map(|(track, audio)| {
        rate(plan, &audio_pieces(view, track, true), f64::from(audio.sample_rate))
    });
    let most = |a: BitRate, b: BitRate| BitRate {
        peak: a.peak.max(b.peak),
        average: a.average.max(b.average),
    };
    let sound = sound.fold(BitRate::default(), most);
    BitRate { peak: picture.peak + sound.peak, average: picture.average + sound.average }
}

/// Measured rate of segments.
#[must_use]
pub fn rate(plan: &Plan, pieces: &[Piece<'_>], timescale: f64) -> BitRate {
    let weights: Vec<Weight> = pieces
        .iter()
        .map(|piece| Weight { bytes: piece.segment.bytes, seconds: piece.ticks as f64 / timescale })
        .collect();
    measure(&weights, f64::from(plan.target_duration))
}

fn pieces<'a>(
    stored: impl Iterator<Item = (&'a Object, &'a Segment)>,
    ended: bool,
) -> Vec<Piece<'a>> {
    let mut stored = stored.peekable();
    let mut pieces = Vec::new();
    while let Some((object, segment)) = stored.next() {
        let next = stored.peek().filter(|_| ended).map(|(_, next)| next.start - segment.start);
        pieces.push(Piece { object, segment, ticks: next.unwrap_or(segment.duration).max(0) });
    }
    pieces
}

fn is_silent(view: &View, track: usize) -> bool {
    view.is_finished(assembly::audio_task(track)) && assembly::audio_prefix(view, track).is_empty()
}

fn head() -> String {
    "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned()
}

/// Names of the audio tracks, unique within the group as RFC 8216 requires: the title, else the language, else the number. Equal names get
/// the number. The numbers are those of the source, as in warnings.
fn track_names(plan: &Plan) -> Vec<String> {
    let found = |index: usize| plan.audio_track(index);
    let number = |index: usize| match found(index).map_or(0, |track| track.number) {
        0 => index + 1,
        number => number as usize,
    };
    let name = |(index, track): (usize, &AudioPlan)| {
        let title = found(index).map_or_else(String::new, |track| quotable(&track.title));
        let language = language::tag(&track.language).map(|tag| language::name(&tag));
        let title = Some(title).filter(|title| !title.is_empty());
        title.or(language).unwrap_or_else(|| format!("Track {}", number(index)))
    };
    let plain: Vec<String> = plan.audio.iter().enumerate().map(name).collect();
    let mut taken = BTreeSet::new();
    let unique = |(index, name): (usize, &String)| {
        let alone = plain.iter().filter(|other| *other == name).count() == 1;
        let mut unique = name.clone();
        if !alone {
            unique = format!("{name}, track {}", number(index));
        }
        while !taken.insert(unique.clone()) {
            unique.push_str(" (2)");
        }
        unique
    };
    plain.iter().enumerate().map(unique).collect()
}

/// Removes characters that a quoted string of a playlist must not contain.
fn quotable(text: &str) -> String {
    printable(text).replace('"', "'").trim().to_owned()
}

fn rendition(text: &mut String, name: &str, track: &AudioPlan) {
    let language = language::tag(&track.language);
    let language = language.map_or_else(String::new, |tag| format!(",LANGUAGE=\"{tag}\""));
    let default = if track.default { "YES" } else { "NO" };
    line(
        text,
        format_args!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{name}\"{language},DEFAULT={default},AUTOSELECT=YES,\
             CHANNELS=\"{}\",URI=\"{}.m3u8\"",
            track.channels, track.name
        ),
    );
}

fn variant(text: &mut String, plan: &Plan, view: Option<&View>, index: usize, sound: bool) {
    let Some(tier) = plan.tiers.get(index) else { return };
    let bandwidth = view.map(|view| variant_rate(plan, view, index)).map_or_else(
        || format!("BANDWIDTH={}", tier.bandwidth),
        |rate| format!("BANDWIDTH={},AVERAGE-BANDWIDTH={}", rate.peak.max(1), rate.average.max(1)),
    );
    let fps = plan.facts.video.as_ref().map_or(0.0, |video| cost::rate(tier, video));
    let (codec, group) = if sound {
        (format!("{},{AUDIO_CODEC}", tier.codecs), ",AUDIO=\"audio\"")
    } else {
        (tier.codecs.clone(), "")
    };
    line(
        text,
        format_args!(
            "#EXT-X-STREAM-INF:{bandwidth},CODECS=\"{codec}\",RESOLUTION={}x{},FRAME-RATE={fps:.3},\
             CLOSED-CAPTIONS=NONE{group}\n{}.m3u8",
            tier.width, tier.height, tier.name
        ),
    );
}

fn media(plan: &Plan, name: &str, timescale: f64, pieces: &[Piece<'_>], ended: bool) -> String {
    let seconds = |piece: &Piece<'_>| piece.ticks as f64 / timescale;
    // The plan's value fits every regular source. A playlist must never contradict itself.
    let longest = pieces.iter().map(|piece| seconds(piece).round() as u32).max().unwrap_or(0);
    let kind = if ended { "VOD" } else { "EVENT" };
    let mut text = head();
    line(&mut text, format_args!("#EXT-X-TARGETDURATION:{}", plan.target_duration.max(longest)));
    line(&mut text, format_args!("#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:{kind}"));
    line(&mut text, format_args!("#EXT-X-MAP:URI=\"{}\"", init_name(name)));
    for piece in pieces {
        let Segment { bytes, offset, .. } = piece.segment;
        let uri = object_uri(&plan.order.video, piece.object);
        line(
            &mut text,
            format_args!(
                "#EXTINF:{:.6},\n#EXT-X-BYTERANGE:{bytes}@{offset}\n{uri}",
                seconds(piece)
            ),
        );
    }
    if ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    if text.write_fmt(arguments).is_ok() {
        text.push('\n');
    }
}

#[cfg(test)]
#[path = "playlist_tests.rs"]
mod tests;
