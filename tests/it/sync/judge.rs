//! Compares what was measured with what must be.

use super::instants::GAP_MIN;
use super::recipe::Expected;
use super::table::Row;
use super::take::BEEP;
use super::view::View;

/// Seconds that a beep may be off its flash: half of what a viewer notices.
const APART: f64 = 0.020;

/// Seconds between a beep and a flash that belong together: they may be recorded up to a picture apart.
const TOGETHER: f64 = 0.041;

/// Seconds of an AAC frame at the lowest rate of the output, and of a picture at 25 per second.
const FRAME: f64 = 1024.0 / 44_100.0;
const PICTURE: f64 = 0.040;

/// Seconds that a picture may be later than its sound and still be shown at its own time, without standing from the beginning: the
/// priming of a sound decoder before the first audible sample.
const LEAD: f64 = 0.1;

/// Seconds that a beep may be longer or shorter than it was recorded.
const TORN: f64 = 0.030;

/// Share that a frequency may be off.
const PITCH: f64 = 0.03;

/// Seconds that two measurements of the same thing differ.
const NOISE: f64 = 0.004;

/// Notes in `row` what is found and what is wrong.
pub(super) fn judge(expected: &Expected, views: &[View], row: &mut Row) {
    for view in views {
        let (wrong, worst) = examine(expected, view);
        let told = wrong.into_iter().map(|problem| format!("{}: {problem}", view.name));
        row.problems.extend(told);
        row.measured(view, worst);
    }
    let late = views.iter().map(|view| view.late).fold(0.0, f64::max);
    if late > APART {
        let late = late * 1000.0;
        row.problems.push(format!("libav shows the pictures of HLS {late:.0} ms late"));
    }
    for (index, view) in views.iter().enumerate().skip(1) {
        let told = |other: &View, problem| format!("{} and {}: {problem}", other.name, view.name);
        row.problems.extend(differ(&views[0], view).map(|problem| told(&views[0], problem)));
        // Another tier may leave out the picture that a flash begins with.
        let same = views[..index].iter().find(|other| other.tier == view.tier);
        let flashes = |view: &View| view.picture.flashes.clone();
        let off = same.and_then(|other| Some((other, moved(&flashes(other), &flashes(view))?)));
        if let Some((other, off)) = off.filter(|(_, off)| off.abs() > NOISE) {
            row.problems.push(told(other, format!("flashes {:+.0} ms apart", off * 1000.0)));
        }
    }
}

/// Faults of one output, and the largest distance of a beep from its flash.
fn examine(expected: &Expected, view: &View) -> (Vec<String>, Option<f64>) {
    let Expected { flashes, tracks, seconds, slack, .. } = expected;
    let mut wrong = Vec::new();
    let found = &view.picture.flashes;
    wrong.extend(count("flashes", found.len(), flashes.len()));
    wrong.extend(placed("flash", found, flashes, *slack));
    wrong.extend(expected.pictures.and_then(|all| count("pictures", view.picture.count, all)));
    if view.picture.first.abs() > LEAD + NOISE {
        wrong.push(format!("the picture starts at {:.3} s", view.picture.first));
    }
    wrong.extend(length("the picture", view.picture_end, *seconds, *slack));
    let Some(track) = tracks.get(view.track) else { return (wrong, None) };
    let beeps: Vec<f64> = view.sound.beeps.iter().map(|beep| beep.at).collect();
    wrong.extend(count("beeps", beeps.len(), track.beeps.len()));
    wrong.extend(placed("beep", &beeps, &track.beeps, *slack));
    wrong.extend(sound(expected, view));
    let worst = worst(&apart(flashes, found, &track.beeps, &beeps));
    if let Some(off) = worst.filter(|off| off.abs() > APART) {
        wrong.push(format!("a beep is {:+.0} ms off its flash", off * 1000.0));
    }
    (wrong, worst)
}

fn count(what: &str, found: usize, expected: usize) -> Option<String> {
    (found != expected).then(|| format!("{found} of {expected} {what}"))
}

fn length(what: &str, found: f64, expected: f64, slack: f64) -> Option<String> {
    let off = (found - expected).abs();
    // What was not measured is wrong.
    let wrong = off.is_nan() || off > slack + PICTURE;
    wrong.then(|| format!("{what} ends at {found:.2} of {expected:.2} s"))
}

/// The instant that is farthest from where it is expected, if their numbers are equal.
fn placed(what: &str, found: &[f64], expected: &[f64], slack: f64) -> Option<String> {
    let offs: Vec<f64> = found.iter().zip(expected).map(|(found, at)| found - at).collect();
    let off = worst(&offs).filter(|off| off.abs() > slack && found.len() == expected.len())?;
    Some(format!("a {what} is {off:+.3} s from its place"))
}

/// Length, start, holes and pitch of the sound.
fn sound(expected: &Expected, view: &View) -> Vec<String> {
    let mut wrong = Vec::new();
    let sound = &view.sound;
    if sound.first.abs() > FRAME + NOISE {
        wrong.push(format!("the sound starts at {:.3} s", sound.first));
    }
    wrong.extend(length("the sound", sound.end, expected.seconds, expected.slack));
    let heard = sound.end - sound.first;
    if (view.sound_length - heard).abs() > FRAME + NOISE {
        let said = view.sound_length;
        wrong.push(format!("sound of {heard:.2} s is declared as {said:.2} s"));
    }
    // A playlist counts from its first picture.
    let late = view.picture.first.clamp(0.0, LEAD);
    if (view.picture_end - sound.end).abs() > PICTURE.max(FRAME) + late + NOISE {
        let (picture, heard) = (view.picture_end, sound.end);
        wrong.push(format!("{picture:.2} s of picture, {heard:.2} s of sound"));
    }
    if sound.holes > NOISE {
        wrong.push(format!("{:.3} s of sound are missing between samples", sound.holes));
    }
    let Some(frequency) = expected.tracks.get(view.track).and_then(|track| track.frequency) else {
        return wrong;
    };
    let off = |found: f64| (found / frequency - 1.0).abs();
    if let Some(beep) = sound.beeps.iter().find(|beep| off(beep.frequency) > PITCH) {
        wrong.push(format!("a beep of {:.0} instead of {frequency:.0} Hz", beep.frequency));
    }
    if let Some(beep) = sound.beeps.iter().find(|beep| (beep.seconds - BEEP).abs() > TORN) {
        let (found, wanted) = (beep.seconds * 1000.0, BEEP * 1000.0);
        wrong.push(format!("a beep of {found:.0} instead of {wanted:.0} ms"));
    }
    wrong
}

/// Seconds by which each beep is later after its flash than recorded. If all exist, pairs are compared; else each beep with the nearest
/// flash.
fn apart(flashes: &[f64], seen: &[f64], beeps: &[f64], heard: &[f64]) -> Vec<f64> {
    if flashes.len() == seen.len() && beeps.len() == heard.len() {
        let pairs = beeps.iter().zip(heard).filter_map(|(at, beep)| {
            let flash = flashes.iter().position(|flash| (flash - at).abs() < TOGETHER)?;
            Some((beep - seen[flash]) - (at - flashes[flash]))
        });
        return pairs.collect();
    }
    let nearest = |beep: &f64| {
        let offs = seen.iter().map(|flash| beep - flash);
        offs.min_by(|a, b| a.abs().total_cmp(&b.abs()))
    };
    // Farther than this it belongs to another flash, or to none.
    heard.iter().filter_map(nearest).filter(|off| off.abs() < GAP_MIN / 2.0).collect()
}

fn worst(offs: &[f64]) -> Option<f64> {
    offs.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))
}

/// The difference of two outputs of the same order; `None` if they agree.
fn differ(one: &View, other: &View) -> Option<String> {
    let ends = [one, other].map(|view| view.picture_end.max(view.sound.end));
    if (ends[0] - ends[1]).abs() > PICTURE.max(FRAME) + NOISE {
        return Some(format!("lengths of {:.2} and {:.2} s", ends[0], ends[1]));
    }
    let beeps = |view: &View| view.sound.beeps.iter().map(|beep| beep.at).collect::<Vec<_>>();
    let off = moved(&beeps(one), &beeps(other)).filter(|off| off.abs() > NOISE)?;
    (one.track == other.track).then(|| format!("beeps {:+.0} ms apart", off * 1000.0))
}

/// The largest difference of instants that both have.
fn moved(one: &[f64], other: &[f64]) -> Option<f64> {
    let offs: Vec<f64> = one.iter().zip(other).map(|(one, other)| other - one).collect();
    if one.len() == other.len() { worst(&offs) } else { None }
}
