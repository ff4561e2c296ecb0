//! Metrics of what completed orders have cost.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jetreel_domain::output::cost::CostSheet;
use jetreel_domain::output::price::Prices;
use prometheus::{CounterVec, GaugeVec, IntCounterVec, Opts};

use super::Builder;

/// Most names of parts. A source smaller than every rung has a tier of its own name, and there may be many of these.
const PARTS_MAX: usize = 24;
/// Label of parts beyond them.
const FURTHER: &str = "further";

/// The metrics.
pub(super) struct Cost {
    cpu: CounterVec,
    stored: IntCounterVec,
    price: GaugeVec,
    parts: Mutex<BTreeSet<String>>,
}

impl Cost {
    pub(super) fn new(b: &Builder) -> prometheus::Result<Self> {
        let cpu = "CPU time whose results are in completed orders, by tier or other part";
        let stored = "Bytes stored by completed orders, by tier or other part; deleted ones are not taken off";
        let price = "Prices of the settings, in their currency, of a vCPU-hour, a GB-month stored, a GB sent; absent if unpriced";
        Ok(Self {
            cpu: b.add(CounterVec::new(
                Opts::new("jetreel_order_cpu_seconds_total", cpu),
                &["part"],
            )?)?,
            stored: b.counters("jetreel_order_stored_bytes_total", stored, &["part"])?,
            price: b.add(GaugeVec::new(Opts::new("jetreel_price", price), &["of", "currency"])?)?,
            parts: Mutex::default(),
        })
    }

    /// Counts a completed order.
    pub(super) fn completed(&self, sheet: &CostSheet) {
        for (name, amounts) in &sheet.parts {
            let label = self.label(name);
            self.cpu.with_label_values(&[label]).inc_by(amounts.cpu_seconds.max(0.0));
            self.stored.with_label_values(&[label]).inc_by(amounts.stored_bytes);
        }
    }

    fn label<'a>(&self, part: &'a str) -> &'a str {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.contains(part) {
            return part;
        }
        if parts.len() >= PARTS_MAX {
            return FURTHER;
        }
        parts.insert(part.to_owned());
        part
    }

    /// Sets the prices.
    pub(super) fn prices(&self, prices: &Prices) {
        self.price.reset();
        for (of, price) in [
            ("vcpu-hour", prices.vcpu_hour),
            ("stored-gb-month", prices.stored_gb_month),
            ("out-gb", prices.out_gb),
        ] {
            if price > 0.0 {
                self.price.with_label_values(&[of, prices.currency.as_str()]).set(price);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn completed_orders_add_up_by_part_and_names_are_bounded() {
        let metrics = Metrics::new().unwrap();
        let mut sheet = CostSheet::of_original(1000);
        for small in 100..200 {
            sheet.parts.entry(format!("{small}p")).or_default().cpu_seconds = 1.5;
        }
        metrics.cost.completed(&sheet);
        metrics.cost.completed(&CostSheet::of_original(10));
        let mut prices = Prices {
            currency: "EUR".to_owned(),
            vcpu_hour: 0.04,
            stored_gb_month: 0.0,
            out_gb: 0.0,
        };
        metrics.prices(&prices);
        let text = metrics.render();
        for line in [
            "jetreel_order_stored_bytes_total{part=\"further\"} 1010",
            "jetreel_order_cpu_seconds_total{part=\"100p\"} 1.5",
            "jetreel_price{currency=\"EUR\",of=\"vcpu-hour\"} 0.04",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches("jetreel_order_cpu_seconds_total{").count(), PARTS_MAX + 1);
        assert_eq!(text.matches("jetreel_price{").count(), 1);
        prices.vcpu_hour = 0.0;
        metrics.prices(&prices);
        assert!(!metrics.render().contains("jetreel_price{"));
    }
}
