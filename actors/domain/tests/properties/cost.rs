//! The cost of an order from its ledger and from its manifest.

use jetreel_domain::order::ledger::{Object, View};
use jetreel_domain::output::cost::CostSheet;
use jetreel_domain::output::manifest;
use jetreel_domain::output::price::Prices;
use proptest::prelude::*;

use crate::simulate;
use crate::sources::source;

fn prices() -> Prices {
    Prices { currency: "EUR".to_owned(), vcpu_hour: 0.05, stored_gb_month: 0.02, out_gb: 0.09 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_ledger_of_a_finished_order_and_its_manifest_tell_the_same_cost(
        source in source(),
        retried in any::<prop::sample::Index>(),
    ) {
        let plan = source.plan();
        let mut view = View::default();
        let mut last = CostSheet::of_ledger(&plan, &view);
        prop_assert_eq!(last.cpu_seconds(), 0.0);
        prop_assert_eq!(last.stored_bytes(), plan.facts.bytes);
        let retried = retried.index(plan.tasks.len());
        for (index, planned) in plan.tasks.iter().enumerate() {
            for mut entry in simulate::entries(&plan, planned, &source.frames) {
                if index == retried {
                    entry.attempt = 3;
                }
                view.insert(entry);
                let sheet = CostSheet::of_ledger(&plan, &view);
                prop_assert!(sheet.cpu_seconds() >= last.cpu_seconds() - 1e-9);
                prop_assert!(sheet.stored_bytes() >= last.stored_bytes());
                last = sheet;
            }
        }
        let file = Object { key: "out/x/1/final/master.m3u8".to_owned(), bytes: 77, sha256: String::new() };
        let manifest = manifest::build(&plan, &view, vec![("master.m3u8".to_owned(), file)]);
        let sheet = CostSheet::of_manifest(&manifest);
        prop_assert!((sheet.cpu_seconds() - manifest.cpu_seconds.total).abs() < 1e-6);
        prop_assert!((sheet.cpu_seconds() - last.cpu_seconds()).abs() < 1e-6);
        // Every object once, and the original.
        let objects: u64 = manifest.objects().map(|object| object.bytes).sum();
        prop_assert_eq!(sheet.stored_bytes(), objects + plan.facts.bytes);
        prop_assert_eq!(last.stored_bytes() + 77, sheet.stored_bytes());
        prop_assert_eq!((sheet.attempts_uncounted, last.attempts_uncounted), (2, 2));
        for (name, part) in &last.parts {
            let other = sheet.parts[name];
            prop_assert!((part.cpu_seconds - other.cpu_seconds).abs() < 1e-6, "{name}");
            prop_assert_eq!(part.stored_bytes, other.stored_bytes, "{}", name);
        }
        let priced = sheet.priced(&prices());
        let compute: f64 = priced.parts.iter().filter_map(|part| part.compute).sum();
        prop_assert!((priced.compute.unwrap() - compute).abs() < 1e-9);
        prop_assert!((compute - sheet.cpu_seconds() / 3600.0 * 0.05).abs() < 1e-9);
        prop_assert_eq!(priced.plays.len(), plan.tiers.len());
        prop_assert_eq!(priced.bytes_in, plan.facts.bytes);
    }
}
