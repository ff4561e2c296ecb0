//! The operator's prices.

use serde::{Deserialize, Serialize};

/// Seconds of an hour.
const HOUR_SECONDS: f64 = 3600.0;
/// Bytes of a GB, as clouds bill it.
const GB: f64 = 1e9;

/// Prices. 0: unpriced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prices {
    /// Name of the currency, for display.
    pub currency: String,
    /// A vCPU for an hour.
    pub vcpu_hour: f64,
    /// A GB in the store for a month.
    pub stored_gb_month: f64,
    /// A GB sent to viewers.
    pub out_gb: f64,
}

impl Prices {
    /// CPU time. `None`: unpriced.
    #[must_use]
    pub fn cpu_seconds(&self, seconds: f64) -> Option<f64> {
        self.vcpu_hours(seconds / HOUR_SECONDS)
    }

    /// vCPUs for some hours, busy or not. `None`: unpriced.
    #[must_use]
    pub fn vcpu_hours(&self, hours: f64) -> Option<f64> {
        priced(self.vcpu_hour, hours)
    }

    /// Bytes in the store, for a month. `None`: unpriced.
    #[must_use]
    pub fn stored_bytes_month(&self, bytes: u64) -> Option<f64> {
        priced(self.stored_gb_month, bytes as f64 / GB)
    }

    /// Bytes sent to viewers. `None`: unpriced.
    #[must_use]
    pub fn out_bytes(&self, bytes: u64) -> Option<f64> {
        priced(self.out_gb, bytes as f64 / GB)
    }
}

fn priced(price: f64, amount: f64) -> Option<f64> {
    (price > 0.0).then_some(price * amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_of_zero_is_none_and_others_are_by_hour_and_gb() {
        let mut prices = Prices {
            currency: "EUR".to_owned(),
            vcpu_hour: 0.04,
            stored_gb_month: 0.0,
            out_gb: 0.05,
        };
        assert_eq!(prices.cpu_seconds(1800.0), Some(0.02));
        assert_eq!(prices.out_bytes(2_000_000_000), Some(0.1));
        assert_eq!(prices.stored_bytes_month(1), None);
        prices.stored_gb_month = 0.02;
        assert_eq!(prices.stored_bytes_month(1_000_000_000), Some(0.02));
    }
}
