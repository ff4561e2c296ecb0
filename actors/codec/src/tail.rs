//! Finds the true duration of the last packet of an audio track. Codecs with long frames end with a short one, which the container does not
//! declare.

use ffmpeg_next::codec::Id;

use crate::facts;
use crate::failure::Outcome;
use crate::input::Input;
use crate::scan::Sound;
use crate::sound_decoder::SoundDecoder;

/// Codecs with long frames that can be decoded separately.
const CODECS: [Id; 4] = [Id::TTA, Id::WAVPACK, Id::FLAC, Id::ALAC];

/// Durations up to this are not checked: a picture lasts as long. In seconds.
const BELIEVED_SECONDS: f64 = 0.05;

/// Moves the end of a track to its last sample if its last packet declares a longer duration.
pub(crate) fn trim(input: &Input, sound: &mut Sound) -> Outcome<()> {
    let Some(packet) = sound.last.take() else { return Ok(()) };
    let stream = packet.stream() as u32;
    let time_base = input.time_base(stream)?;
    let claimed = time_base.seconds(packet.duration());
    let codec = input.stream(stream)?.parameters().id();
    if claimed <= BELIEVED_SECONDS || !CODECS.contains(&codec) {
        return Ok(());
    }
    let Ok(mut decoder) =
        SoundDecoder::open(&input.stream(stream)?, facts::libav(time_base), &[], false)
    else {
        return Ok(());
    };
    let mut seconds = 0.0;
    for packet in [Some(&packet), None] {
        decoder.decode(packet, &mut |frame| {
            seconds += frame.samples() as f64 / f64::from(frame.rate().max(1));
            Ok(())
        })?;
    }
    sound.end = sound.end.saturating_sub(time_base.ticks(excess(claimed, seconds)));
    Ok(())
}

/// Seconds that a packet declares beyond its samples. A packet that cannot be decoded separately is not checked.
fn excess(claimed: f64, decoded: f64) -> f64 {
    if decoded > 0.0 { (claimed - decoded).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_lasts_no_longer_than_its_samples() {
        assert!((excess(1.045, 0.775) - 0.27).abs() < 1e-9);
        assert!(excess(0.5, 0.6).abs() < 1e-9);
        assert!(excess(1.045, 0.0).abs() < 1e-9);
    }
}
