//! Checks that the store of the settings is bound to the broker and is the store of the running nodes.

use jetreel_actors::binding;
use jetreel_actors::sign::{self, Around};
use jetreel_domain::upkeep::binding::Step;
use jetreel_domain::words::advice;
use jetreel_domain::words::failure::Failure;

use super::{Finding, Verdict};
use crate::bus::Bus;
use crate::settings::Settings;
use crate::store::{OpenDalStore, StoreOptions};

const SHARING: &str = "sharing";

/// Runs both checks.
pub(super) async fn examine(bus: &Bus, settings: &Settings) -> Vec<Finding> {
    let bound = binding(bus, settings).await;
    if bound.verdict != Verdict::Ok {
        return vec![bound];
    }
    vec![bound, sharing(bus, settings).await]
}

/// Whether the store is bound to the broker.
async fn binding(bus: &Bus, settings: &Settings) -> Finding {
    const CHECK: &str = "binding";
    let looked = async {
        let store = OpenDalStore::open(&StoreOptions::from(&settings.store))?;
        binding::foresee(bus, &store).await
    };
    let advice = advice::of_code("store-mismatch").unwrap_or_default();
    match looked.await {
        Ok(Ok(Step::Bound(id))) => Finding::ok(CHECK, format!("the broker's store is {id}")),
        Ok(Ok(Step::MarkStore | Step::MarkBroker(_))) => {
            Finding::ok(CHECK, "the first node binds store and broker")
        }
        Ok(Err(mismatch)) => Finding::fail(CHECK, Failure::from(mismatch).message, advice),
        Err(failure) => Finding::warn(CHECK, failure.told(), "see the findings before"),
    }
}

/// Whether the store holds the signs of the running nodes.
async fn sharing(bus: &Bus, settings: &Settings) -> Finding {
    let looked = async {
        let store = OpenDalStore::open(&StoreOptions::from(&settings.store))?;
        sign::around(bus, &store).await
    };
    looked.await.map_or_else(
        |failure| Finding::warn(SHARING, failure.told(), "see the findings before"),
        |around| of_signs(&around),
    )
}

fn of_signs(around: &Around) -> Finding {
    let seen = around.seen.join(", ");
    let missing: Vec<String> =
        around.missing.iter().map(|sign| format!("{} ({})", sign.node, sign.key())).collect();
    match (around.seen.as_slice(), missing.as_slice()) {
        ([], []) => Finding::ok(SHARING, "no node runs that could be seen in the store"),
        (_, []) => Finding::ok(SHARING, format!("it sees the store of nodes {seen}")),
        (_, missing) => {
            let found = match seen.as_str() {
                "" => String::new(),
                seen => format!("; it sees that of nodes {seen}"),
            };
            let found = format!("it does not see the store of nodes {}{found}", missing.join(", "));
            Finding::fail(SHARING, found, advice::of_code("store-not-shared").unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::upkeep::sign::Sign;

    use super::*;

    #[test]
    fn nodes_whose_store_is_another_are_told() {
        let sign =
            |node: &str| Sign { id: "i".into(), node: node.into(), number: 7, doubted: false };
        let seen = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let told = |names: &[&str], missing| of_signs(&Around { seen: seen(names), missing });
        assert_eq!(told(&[], vec![]).verdict, Verdict::Ok);
        assert_eq!(told(&["a", "b"], vec![]).found, "it sees the store of nodes a, b");
        let split = told(&["a"], vec![sign("b")]);
        assert_eq!(split.verdict, Verdict::Fail);
        assert_eq!(
            split.found,
            "it does not see the store of nodes b (nodes/i/7); it sees that of nodes a"
        );
        assert!(split.advice.contains("the same store"), "{split:?}");
    }
}
