//! High dynamic range without colour tags.
//!
//! Phones and editors write HDR10 or HDR10+ metadata into pictures whose header has no colour description. Shown as standard range, such
//! pictures look grey.

use crate::plan::media::Colour;

/// Signs of high dynamic range besides the colour tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// Bits per sample.
    pub bits: u32,
    /// Whether the primaries of the mastering display are present (SMPTE ST 2086).
    pub mastering: bool,
    /// Whether tone-mapping metadata per scene is present (SMPTE ST 2094-40, HDR10+).
    pub dynamic: bool,
}

impl Signs {
    /// The signs of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            bits: self.bits.max(other.bits),
            mastering: self.mastering || other.mastering,
            dynamic: self.dynamic || other.dynamic,
        }
    }
}

/// PQ and BT.2020 if `signs` imply them. `None` if they do not, or a colour tag contradicts them.
#[must_use]
pub fn assumed(colour: &Colour, signs: Signs) -> Option<Colour> {
    let open = |tag: &str, agreeing: &[&str]| tag == "unknown" || agreeing.contains(&tag);
    let untagged = open(&colour.transfer, &[])
        && open(&colour.primaries, &["bt2020"])
        && open(&colour.matrix, &["bt2020nc", "bt2020c"]);
    let signed = signs.bits >= 10 && (signs.mastering || signs.dynamic);
    (untagged && signed).then(|| Colour {
        primaries: "bt2020".to_owned(),
        transfer: "smpte2084".to_owned(),
        matrix: "bt2020nc".to_owned(),
        range: colour.range.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(primaries: &str, transfer: &str, matrix: &str) -> Colour {
        let [primaries, transfer, matrix, range] =
            [primaries, transfer, matrix, "tv"].map(str::to_owned);
        Colour { primaries, transfer, matrix, range }
    }

    const SIGNS: Signs = Signs { bits: 10, mastering: true, dynamic: false };

    #[test]
    fn metadata_without_tags_mean_high_dynamic_range() {
        let unknown = colour("unknown", "unknown", "unknown");
        for signs in [SIGNS, Signs { mastering: false, dynamic: true, bits: 12 }] {
            let found = assumed(&unknown, signs).unwrap();
            assert_eq!(found, colour("bt2020", "smpte2084", "bt2020nc"));
            assert!(found.is_hdr());
        }
        assert!(assumed(&colour("bt2020", "unknown", "bt2020nc"), SIGNS).is_some());
    }

    #[test]
    fn a_tag_that_says_otherwise_wins() {
        for tagged in [
            colour("bt709", "unknown", "unknown"),
            colour("unknown", "bt709", "unknown"),
            colour("unknown", "unknown", "bt709"),
            colour("bt2020", "arib-std-b67", "bt2020nc"),
        ] {
            assert_eq!(assumed(&tagged, SIGNS), None, "{tagged:?}");
        }
    }

    #[test]
    fn eight_bits_and_no_metadata_are_standard_range() {
        let unknown = colour("unknown", "unknown", "unknown");
        assert_eq!(assumed(&unknown, Signs { bits: 8, ..SIGNS }), None);
        assert_eq!(assumed(&unknown, Signs { mastering: false, ..SIGNS }), None);
    }
}
