//! H.264: the level that a stream needs by size, rate and bit rate, and the 4:4:4 profiles.
//!
//! Numbers from ITU-T H.264 (08/2021), table A-1, for the High profile (bit rates are 1.25 times the table's, A.3.3).

/// `profile_idc` of the 4:4:4 profiles: CAVLC 4:4:4 Intra, High 4:4:4 (withdrawn in 2007), High 4:4:4 Predictive.
const PROFILES_444: [i32; 3] = [44, 144, 244];

/// Bits of libav's profile number that are `profile_idc`; the others are constraint flags, such as that of High 4:4:4 Intra.
const PROFILE_IDC: i32 = 0xff;

/// Whether a profile, as libav numbers it, is a 4:4:4 one.
#[must_use]
pub fn is_444(profile: i32) -> bool {
    PROFILES_444.contains(&(profile & PROFILE_IDC))
}

/// Limits of a level.
struct Level {
    /// Number of the level times ten.
    number: u32,
    macroblocks_per_second: u64,
    macroblocks_per_frame: u64,
    macroblocks_of_references: u64,
    kilobits_per_second: u64,
}

const fn level(number: u32, per_second: u64, per_frame: u64, references: u64, kbps: u64) -> Level {
    Level {
        number,
        macroblocks_per_second: per_second,
        macroblocks_per_frame: per_frame,
        macroblocks_of_references: references,
        kilobits_per_second: kbps,
    }
}

const LEVELS: [Level; 19] = [
    level(10, 1_485, 99, 396, 64),
    level(11, 3_000, 396, 900, 192),
    level(12, 6_000, 396, 2_376, 384),
    level(13, 11_880, 396, 2_376, 768),
    level(20, 11_880, 396, 2_376, 2_000),
    level(21, 19_800, 792, 4_752, 4_000),
    level(22, 20_250, 1_620, 8_100, 4_000),
    level(30, 40_500, 1_620, 8_100, 10_000),
    level(31, 108_000, 3_600, 18_000, 14_000),
    level(32, 216_000, 5_120, 20_480, 20_000),
    level(40, 245_760, 8_192, 32_768, 20_000),
    level(41, 245_760, 8_192, 32_768, 50_000),
    level(42, 522_240, 8_704, 34_816, 50_000),
    level(50, 589_824, 22_080, 110_400, 135_000),
    level(51, 983_040, 36_864, 184_320, 240_000),
    level(52, 2_073_600, 36_864, 184_320, 240_000),
    level(60, 4_177_920, 139_264, 696_320, 240_000),
    level(61, 8_355_840, 139_264, 696_320, 480_000),
    level(62, 16_711_680, 139_264, 696_320, 800_000),
];

/// Decoded pictures that three B-pictures with a pyramid and their references need.
const PICTURES_HELD: u64 = 4;

/// Properties of a stream that determine its level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: f64,
    /// Peak rate in bits per second.
    pub max_rate: u32,
}

/// The lowest level (times ten), not below `floor`, that supports the stream; `None` if there is none.
#[must_use]
pub fn level_for(demand: Demand, floor: u32) -> Option<u32> {
    let (wide, high) = (blocks(demand.width), blocks(demand.height));
    let frame = wide * high;
    // A hundredth of a per cent above a level's rate is clock noise: 60000/1001 and its neighbours are written in many ways.
    let per_second = (frame as f64 * demand.frame_rate * 0.9999).ceil() as u64;
    let fits = |level: &&Level| {
        let side_squared_max = 8 * level.macroblocks_per_frame;
        level.number >= floor
            && frame <= level.macroblocks_per_frame
            && wide * wide <= side_squared_max
            && high * high <= side_squared_max
            && per_second <= level.macroblocks_per_second
            && frame * PICTURES_HELD <= level.macroblocks_of_references
            && u64::from(demand.max_rate) <= level.kilobits_per_second * 1_250
    };
    LEVELS.iter().find(fits).map(|level| level.number)
}

/// Whether the level (times ten) exists.
#[must_use]
pub fn is_level(number: u32) -> bool {
    LEVELS.iter().any(|level| level.number == number)
}

/// Decoded pictures of this size that a level (times ten) lets a decoder hold (H.264, table A-1).
#[must_use]
pub fn pictures_held(level: u32, width: u32, height: u32) -> u32 {
    let known = LEVELS.iter().find(|known| known.number >= level);
    let held = known.map_or(0, |known| known.macroblocks_of_references);
    u32::try_from(held / (blocks(width) * blocks(height)).max(1)).unwrap_or(u32::MAX)
}

/// Codecs string (RFC 6381) of a stream in High profile without constraints.
#[must_use]
pub fn codec_string(level: u32) -> String {
    format!("avc1.6400{level:02x}")
}

fn blocks(pixels: u32) -> u64 {
    u64::from(pixels.div_ceil(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_of_444_is_known_with_any_flag() {
        assert!([44, 144, 244, 244 | 1 << 11].into_iter().all(is_444));
        // Baseline, Main, High, High 10, High 4:2:2, unknown.
        assert!(![66, 77, 100, 110, 122, -99].into_iter().any(is_444));
    }

    fn demand(width: u32, height: u32, frame_rate: f64) -> Demand {
        Demand { width, height, frame_rate, max_rate: 3_000_000 }
    }

    #[test]
    fn usual_sizes_get_their_usual_levels() {
        assert_eq!(level_for(demand(426, 240, 30.0), 10), Some(21));
        assert_eq!(level_for(demand(1280, 720, 30.0), 10), Some(31));
        assert_eq!(level_for(demand(1280, 720, 60.0), 10), Some(32));
        assert_eq!(level_for(demand(1920, 1080, 30.0), 10), Some(40));
        assert_eq!(level_for(demand(1920, 1080, 60.0), 10), Some(42));
        assert_eq!(level_for(demand(3840, 2160, 60.0), 10), Some(52));
    }

    #[test]
    fn a_level_is_raised_by_width_alone_and_by_bit_rate_alone() {
        // 215 macroblocks wide: few in total, but level 3.2 allows only 202.
        assert_eq!(level_for(demand(3440, 240, 25.0), 21), Some(40));
        let fat = Demand { max_rate: 30_000_000, ..demand(1920, 1080, 30.0) };
        assert_eq!(level_for(fat, 40), Some(41));
    }

    #[test]
    fn a_level_holds_the_pictures_that_b_frames_need() {
        // Level 1.1 supports the rate but holds only two pictures of this size.
        let slow = Demand { width: 352, height: 288, frame_rate: 7.0, max_rate: 150_000 };
        assert_eq!(level_for(slow, 10), Some(12));
    }

    #[test]
    fn a_rung_may_ask_for_more_than_it_needs_and_nothing_carries_everything() {
        assert_eq!(level_for(demand(640, 360, 25.0), 31), Some(31));
        assert_eq!(level_for(demand(20_000, 20_000, 25.0), 10), None);
    }

    #[test]
    fn codec_strings_spell_the_level_in_hexadecimal() {
        assert_eq!(codec_string(31), "avc1.64001f");
        assert_eq!(codec_string(42), "avc1.64002a");
    }
}
