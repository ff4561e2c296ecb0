//! Measures how much of an audio track could not be decoded.

/// Losses of a track, and the duration of its packets.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    /// Damaged packets and frames since the last audio.
    damaged: u64,
    /// Whether reads failed since then. It is unknown which packets are missing.
    unread: bool,
    /// Total numbers of failed reads and of frames that did not fit.
    reads: u64,
    unfit: u64,
    /// Decoded seconds, and the packets that they came from.
    seconds: f64,
    packets: u64,
}

impl Loss {
    /// Records that `samples` were decoded.
    pub(crate) fn decoded(&mut self, samples: usize, rate: u32) {
        self.seconds += samples as f64 / f64::from(rate.max(1));
    }

    /// Records a packet that was decoded completely or not. `unfit` frames of all packets did not fit so far.
    pub(crate) fn packet(&mut self, intact: bool, unfit: u64) {
        let fits = std::mem::replace(&mut self.unfit, unfit) == unfit;
        if intact && fits {
            self.packets += 1;
        } else {
            self.damaged += 1;
        }
    }

    /// Records that `reads` failed so far.
    pub(crate) fn reads(&mut self, reads: u64) {
        self.unread |= std::mem::replace(&mut self.reads, reads) != reads;
    }

    /// Seconds lost since the last audio. `silence` seconds separate it from the next.
    pub(crate) fn take(&mut self, silence: f64) -> f64 {
        let (damaged, unread) =
            (std::mem::take(&mut self.damaged), std::mem::take(&mut self.unread));
        let counted = damaged as f64 * self.seconds / self.packets.max(1) as f64;
        if damaged > 0 || unread { counted.max(silence) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(packets: u32) -> Loss {
        let mut loss = Loss::default();
        for _ in 0..packets {
            loss.decoded(960, 48_000);
            loss.packet(true, 0);
        }
        loss
    }

    #[test]
    fn damaged_packets_count_as_long_as_the_others() {
        let mut loss = heard(10);
        assert_eq!(loss.take(3.0), 0.0, "a pause is no damage");
        (0..50).for_each(|_| loss.packet(false, 0));
        assert!((loss.take(0.0) - 1.0).abs() < 1e-9);
        assert_eq!(loss.take(0.0), 0.0);
        loss.packet(true, 1);
        assert!((loss.take(0.0) - 0.02).abs() < 1e-9, "a frame that did not fit");
    }

    #[test]
    fn silence_behind_a_failed_read_is_lost_sound() {
        let mut loss = heard(10);
        loss.reads(1);
        assert_eq!(loss.take(2.5), 2.5);
        loss.reads(1);
        assert_eq!(loss.take(2.5), 0.0);
    }
}
