//! Properties of the node processes on the scaler's machine, over random targets, deaths and times.

use std::collections::BTreeMap;
use std::time::Duration;

use jetreel_domain::scale::locals::{Act, Locals};
use proptest::prelude::*;

const LIMIT: Duration = Duration::from_secs(30);

/// Something that happens after so many seconds.
#[derive(Debug, Clone)]
enum Step {
    /// So many processes are wanted.
    Target(u32),
    /// The process with that rank ends.
    End(usize),
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let what = prop_oneof![(0_u32..8).prop_map(Step::Target), (0_usize..8).prop_map(Step::End)];
    (0_u64..50, what)
}

proptest! {
    #[test]
    fn processes_stay_within_the_maximum_and_none_is_killed_early(
        max in 1_u32..6,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut locals = Locals::new(max, LIMIT);
        // Living processes, with the start of their drain.
        let mut alive = BTreeMap::<u32, Option<Duration>>::new();
        let (mut now, mut target) = (Duration::ZERO, 0);
        for (seconds, step) in steps {
            now += Duration::from_secs(seconds);
            match step {
                Step::Target(wanted) => target = wanted,
                Step::End(rank) => {
                    if let Some(number) = alive.keys().nth(rank).copied() {
                        alive.remove(&number);
                        locals.ended(number, now);
                    }
                }
            }
            for act in locals.act(target, now) {
                match act {
                    Act::Start(number) => {
                        prop_assert!((1..=max).contains(&number));
                        prop_assert!(alive.insert(number, None).is_none(), "{number} lives");
                    }
                    Act::Drain(number) => {
                        prop_assert_eq!(alive.insert(number, Some(now)), Some(None));
                    }
                    Act::Kill(number) => {
                        let since = alive.get(&number).copied().flatten();
                        prop_assert!(since.is_some_and(|since| now >= since + LIMIT));
                    }
                }
            }
            prop_assert!(alive.len() <= max as usize);
            let count = locals.count();
            prop_assert_eq!(count.running + count.draining, alive.len());
            let serving = count.running + count.down;
            prop_assert!(serving <= target as usize);
            let room = max as usize - count.draining;
            prop_assert_eq!(serving, room.min(target as usize), "as many as there is room for");
            prop_assert!(locals.wakes().is_none_or(|at| at > now), "it has done all that is due");
        }
    }
}
