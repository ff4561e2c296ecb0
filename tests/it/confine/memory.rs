//! A task that gets too little memory says that it was memory, wherever in decoder, filters and encoders it runs out.

use jetreel_actors::ports::ProcessBudget;
use jetreel_domain::codec::wire::{JobWork, Report};
use jetreel_domain::words::failure::Severity;

use super::stage::{Stage, nothing};
use crate::harness::media::{FILM, made};

const STEP: u64 = 2 << 20;

/// The first size with which a process can load its libraries and say hello; its parent never gives it less.
async fn least(stage: &Stage, enough: ProcessBudget) -> u64 {
    for memory_bytes in (64 << 20..enough.memory_bytes).step_by(STEP as usize) {
        let limits = ProcessBudget { memory_bytes, ..enough };
        if stage.run(&stage.direct(), JobWork::Hello, nothing(), limits).await.is_ok() {
            return memory_bytes;
        }
    }
    panic!("the codec does not start");
}

#[tokio::test]
async fn whatever_memory_it_lacks_a_task_says_so() {
    let Some(film) = made(FILM) else { return };
    let mut stage = Stage::new();
    // What counts as "no room left" follows from the largest picture allowed.
    stage.settings.limits.pixels_max = 640 * 360;
    let film = stage.store_file(&film).await;
    let codec = stage.direct();
    let (work, enough) = stage.first_task(&codec, film.clone()).await;
    let (mut lacked, mut sufficed) = (0, 0);
    let least = least(&stage, enough).await + STEP;
    for memory_bytes in (least..enough.memory_bytes).step_by(STEP as usize) {
        let limits = ProcessBudget { memory_bytes, ..enough };
        match stage.run(&codec, work.clone(), film.clone(), limits).await {
            Ok(report) => {
                assert_eq!(report, Report::Video);
                sufficed += 1;
            }
            Err(failure) => {
                let found = (failure.code.as_str(), failure.severity);
                let wanted = ("codec-memory-budget", Severity::TaskFault);
                assert_eq!(found, wanted, "with {} MiB: {failure:?}", memory_bytes >> 20);
                assert_eq!(sufficed, 0, "less was enough");
                lacked += 1;
            }
        }
        if sufficed > 2 {
            break;
        }
    }
    println!("{lacked} sizes were too little, {} MiB are given", enough.memory_bytes >> 20);
    assert!(lacked > 2 && sufficed > 0);
}
