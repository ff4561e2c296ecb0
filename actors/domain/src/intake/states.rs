//! State documents against their keys.

use std::collections::BTreeSet;

use super::contradiction::{
    Contradiction, OBJECT_BYTES_MAX, below, ensure, is_segment, object, quoted,
};
use super::sources::{is_inside, is_own};
use crate::claim::Claim;
use crate::state::{Fact, Order, Source, Video};
use crate::sweep::Owner;

/// Checks the state of a video that was found under `key`.
///
/// # Errors
/// What contradicts first.
pub fn video(key: &str, video: &Video) -> Result<(), Contradiction> {
    if video.id.as_str() != key {
        return Err(Contradiction::new(key, format!("the state is that of {}", video.id)));
    }
    source(key, video, &video.source)?;
    let mut numbers = BTreeSet::new();
    let mut orders = video.orders.iter();
    let once = orders.all(|order| order.number > 0 && numbers.insert(order.number));
    ensure(once, key, "a number of an order is missing or taken twice")?;
    video.orders.iter().try_for_each(|order| self::order(key, video, order))
}

fn order(key: &str, video: &Video, order: &Order) -> Result<(), Contradiction> {
    // Of a closed order it is never read again: one of before this was checked must not make its video unreadable.
    let mut read = order.source.iter().filter(|_| !order.is_closed());
    read.try_for_each(|found| source(key, video, found))?;
    let prefix = Owner::Order(video.order_id(order.number)).prefix();
    if let Some(plan) = &order.plan {
        object(key, &plan.object, &prefix)?;
    }
    if let Some(published) = &order.published {
        below(key, &published.prefix, &prefix)?;
        object(key, &published.manifest, &format!("{}/", published.prefix))?;
    }
    let told = order.facts.iter().all(|known| match &known.fact {
        Fact::Tier(name) => is_segment(name) && !name.contains('.'),
        Fact::Playable | Fact::Completed | Fact::Failed(_) | Fact::Cancelled | Fact::Deleted => {
            true
        }
    });
    ensure(told, key, "a tier has a name that is none")
}

/// Parts of an original lie in the folder of their video. What lies elsewhere must at least be nothing that Jetreel wrote for others;
/// whether it may be read, settings say.
fn source(key: &str, video: &Video, source: &Source) -> Result<(), Contradiction> {
    let own = Owner::Original(video.id.clone()).prefix();
    for part in &source.parts {
        let foreign = !is_own(&part.key) && is_inside(&part.key);
        if !foreign {
            below(key, &part.key, &own)?;
        }
    }
    let possible = source.parts.iter().all(|part| part.bytes <= OBJECT_BYTES_MAX);
    ensure(possible, key, "the size of a part is not possible")
}

/// Checks a claim that was found under `key`.
///
/// # Errors
/// What contradicts first.
pub fn claim(key: &str, claim: &Claim) -> Result<(), Contradiction> {
    let id = &claim.attempt_id;
    if id.is_empty() || is_segment(id) {
        return Ok(());
    }
    // It is part of the keys that the attempt writes.
    Err(Contradiction::new(key, format!("{} is no id of an attempt", quoted(id))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::lane::Lane;
    use crate::ledger::Object;
    use crate::plan::Class;
    use crate::state::{Known, Part, PlanRef, Published, Status};

    fn object(key: String) -> Object {
        Object { key, bytes: 5, sha256: "00".repeat(32) }
    }

    fn sound() -> Video {
        let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
        let id = video.id.clone();
        video.source.parts = vec![Part { key: format!("raw/{id}/00000"), bytes: 9 }];
        let order = &mut video.orders[0];
        order.status = Status::Completed;
        let plan = object(format!("out/{id}/1/plan-x.json"));
        let tiers = vec!["720p".to_owned()];
        order.plan = Some(PlanRef { object: plan, class: Class::A, tiers, tasks: 1, chunks: 1 });
        let prefix = format!("out/{id}/1/final-x");
        let manifest = object(format!("{prefix}/manifest.json"));
        order.published = Some(Published { prefix, manifest });
        order.facts = vec![Known { seq: 1, fact: Fact::Tier("720p".into()), at: 0 }];
        let mut second = Order::new(2, Status::Queued, Lane::Normal, 0);
        let part = Part { key: "incoming/better.mp4".into(), bytes: 9 };
        second.source = Some(Source { bytes: 9, parts: vec![part] });
        video.orders.push(second);
        video
    }

    #[test]
    fn a_state_names_what_is_its_own() {
        let state = sound();
        assert_eq!(video(state.id.as_str(), &state), Ok(()));
        let other = VideoId::from_bits(2);
        assert!(video(other.as_str(), &state).is_err());
        let edits: [&dyn Fn(&mut Video); 10] = [
            &|video| video.source.parts[0].key = format!("raw/{other}/00000"),
            &|video| video.source.parts[0].key = format!("raw/{}/../x", video.id),
            &|video| video.source.parts[0].bytes = u64::MAX,
            &|video| video.orders[1].source.as_mut().unwrap().parts[0].key = "out/x".into(),
            &|video| video.orders[1].source.as_mut().unwrap().parts[0].key = "../x".into(),
            &|video| video.orders[1].number = 1,
            &|video| {
                video.orders[0].plan.as_mut().unwrap().object.key = format!("out/{other}/1/plan-x");
            },
            &|video| video.orders[0].published.as_mut().unwrap().prefix = "out".into(),
            &|video| {
                let manifest = &mut video.orders[0].published.as_mut().unwrap().manifest;
                manifest.key = format!("out/{other}/1/final-x/manifest.json");
            },
            &|video| video.orders[0].facts[0].fact = Fact::Tier("a.b".into()),
        ];
        for (index, edit) in edits.iter().enumerate() {
            let mut state = sound();
            edit(&mut state);
            assert!(video(state.id.as_str(), &state).is_err(), "{index}");
        }
    }

    #[test]
    fn the_source_of_a_closed_order_makes_nothing_unreadable() {
        let mut state = sound();
        state.orders[1].source.as_mut().unwrap().parts[0].key = "raw/x".into();
        assert!(video(state.id.as_str(), &state).is_err());
        state.orders[1].status = Status::Completed;
        assert_eq!(video(state.id.as_str(), &state), Ok(()));
    }

    #[test]
    fn a_claim_writes_into_its_own_folder() {
        let mut held = Claim::nobodys();
        assert_eq!(claim("x", &held), Ok(()));
        held.attempt_id = "0193-a".into();
        assert_eq!(claim("x", &held), Ok(()));
        held.attempt_id = "../../2/main-0000/x".into();
        assert!(claim("x", &held).is_err());
    }
}
