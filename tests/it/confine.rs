//! The real codec under real confinement: it attempts forbidden operations, on this machine and on poorer ones. It still works, ends with
//! its parent, and reports when it runs out of memory.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod forks;
mod memory;
mod program;
mod spawn;
mod stage;

use jetreel::sandbox::Confinement;
use jetreel_actors::ports::Codec as _;
use jetreel_domain::words::failure::Severity;
use stage::Stage;

/// A machine that lacks something, and the best tier it can reach.
const MACHINES: [(&str, Confinement); 8] = [
    ("plain", Confinement::Full),
    // Each process is started, and loads libav.
    ("no-forks", Confinement::Full),
    // Its capabilities cannot be given up.
    ("no-capset", Confinement::Seccomp),
    ("no-landlock", Confinement::Ns),
    ("no-namespaces", Confinement::Seccomp),
    ("no-namespaces-landlock", Confinement::Seccomp),
    ("no-seccomp", Confinement::None),
    ("unconfined", Confinement::None),
];

/// The tier that this machine reaches.
async fn best(stage: &Stage) -> Confinement {
    stage.codec("plain").confinement().await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_machine_reaches_its_tier_and_denies_what_must_be_denied() {
    let stage = Stage::new();
    let best = best(&stage).await;
    println!("this machine reaches {best}");
    assert!(best >= Confinement::Seccomp, "{:?}", stage.codec("plain").weaknesses().await);
    for (machine, reached) in MACHINES {
        let codec = stage.codec(machine);
        let tier: Confinement = codec.confinement().await.unwrap().parse().unwrap();
        let weaknesses = codec.weaknesses().await.unwrap();
        assert_eq!(tier, reached.min(best), "{machine}: {weaknesses:?}");
        assert!(tier == Confinement::Full || !weaknesses.is_empty(), "{machine} does not say why");
        let attempts = codec.trespass().await.unwrap();
        let open: Vec<_> = attempts.iter().filter(|attempt| !attempt.denied).collect();
        println!("{machine}: {tier}, {} of {} attempts succeed", open.len(), attempts.len());
        if tier >= Confinement::Seccomp {
            assert!(open.is_empty(), "{machine}: {open:?}");
        } else {
            assert!(machine != "unconfined" || open.len() > 20, "the attempts see nothing");
        }
    }
}

#[tokio::test]
async fn a_machine_below_the_demand_gets_no_work() {
    let stage = Stage::new();
    for (machine, demanded) in
        [("no-landlock", Confinement::Full), ("no-seccomp", Confinement::Seccomp)]
    {
        let codec = stage.codec(machine).demand(demanded);
        // It can still be asked what it is.
        codec.build().await.unwrap();
        let failure = stage.probe(&codec, stage::nothing()).await.unwrap_err();
        let found = (failure.code.as_str(), failure.severity);
        assert_eq!(found, ("sandbox-weak", Severity::DependencyFault), "{machine}");
    }
}

#[tokio::test]
async fn a_video_is_understood_in_every_tier() {
    let Some(film) = crate::harness::media::made(crate::harness::media::SHORT) else { return };
    let stage = Stage::new();
    let film = stage.store_file(&film).await;
    for (machine, _) in MACHINES {
        let facts = stage.probe(&stage.codec(machine), film.clone()).await.unwrap();
        let video = facts.video.unwrap();
        assert_eq!((video.packets, video.width), (100, 426), "{machine}");
    }
}
