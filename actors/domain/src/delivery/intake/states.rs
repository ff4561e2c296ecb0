//! Checks state documents against their keys.

use std::collections::BTreeSet;

use super::contradiction::{
    Contradiction, OBJECT_BYTES_MAX, below, ensure, is_segment, object, quoted,
};
use super::sources::{is_inside, is_own};
use crate::delivery::claim::Claim;
use crate::id::VideoId;
use crate::order::owner::Owner;
use crate::order::parts::{LIST_BYTES_MAX, PartList};
use crate::order::state::{Fact, Order, Source, Video};

/// Checks the state of a video that was found under `key`.
///
/// # Errors
/// The first contradiction.
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
    // The source of a closed order is never read again. A state from before this check must stay readable.
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

fn source(key: &str, video: &Video, source: &Source) -> Result<(), Contradiction> {
    let own = Owner::Original(video.id.clone()).prefix();
    if let Some(list) = &source.list {
        object(key, list, &own)?;
        ensure(list.bytes <= LIST_BYTES_MAX, key, "the size of a list of parts is not possible")?;
        ensure(source.parts.is_empty(), key, "the parts stand in the state and in a list")?;
    }
    source.parts.iter().try_for_each(|found| part(key, &found.key, found.bytes, &own))
}

/// Fails unless a part of an original lies in the folder of its video, or outside of the folders that Jetreel writes for other videos. The
/// settings decide whether such a part may be read.
fn part(place: &str, key: &str, bytes: u64, own: &str) -> Result<(), Contradiction> {
    if is_own(key) || !is_inside(key) {
        below(place, key, own)?;
    }
    ensure(bytes <= OBJECT_BYTES_MAX, place, "the size of a part is not possible")
}

/// Checks the part list of `source`, an original of `video`, that was found at `key`.
///
/// # Errors
/// The first contradiction.
pub fn parts(
    key: &str,
    video: &VideoId,
    source: &Source,
    list: &PartList,
) -> Result<(), Contradiction> {
    let own = Owner::Original(video.clone()).prefix();
    list.iter().try_for_each(|found| part(key, &found.key(), found.bytes, &own))?;
    ensure(list.bytes() == source.bytes, key, "the parts have another size than the original")
}

/// Checks a claim that was found under `key`.
///
/// # Errors
/// The first contradiction.
pub fn claim(key: &str, claim: &Claim) -> Result<(), Contradiction> {
    let id = &claim.attempt_id;
    if id.is_empty() || is_segment(id) {
        return Ok(());
    }
    // The id is part of the keys that the attempt writes.
    Err(Contradiction::new(key, format!("{} is no id of an attempt", quoted(id))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::lane::Lane;
    use crate::order::ledger::Object;
    use crate::order::state::{Known, Part, PlanRef, Published, Status};
    use crate::plan::Class;

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
        order.plan = Some(PlanRef {
            object: plan,
            class: Class::A,
            tiers,
            tasks: 1,
            chunks: 1,
            urgent: 0,
            bulk: None,
        });
        let prefix = format!("out/{id}/1/final-x");
        let manifest = object(format!("{prefix}/manifest.json"));
        order.published = Some(Published { prefix, manifest });
        order.facts = vec![Known { seq: 1, fact: Fact::Tier("720p".into()), at: 0 }];
        let mut second = Order::new(2, Status::Queued, Lane::Normal, 0);
        let part = Part { key: "incoming/better.mp4".into(), bytes: 9 };
        second.source = Some(Source { bytes: 9, parts: vec![part], list: None });
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
    fn a_list_of_parts_is_its_videos_own_and_so_are_its_parts() {
        let id = VideoId::from_bits(1);
        let mut state = Video::receiving(id.clone(), String::new(), Lane::Normal, 0);
        state.source = Source::listed(12, object(format!("raw/{id}/list-x")));
        assert_eq!(video(id.as_str(), &state), Ok(()));
        let edits: [&dyn Fn(&mut Source); 4] = [
            &|source| source.list.as_mut().unwrap().key = "raw/other/list-x".into(),
            &|source| source.list.as_mut().unwrap().sha256.clear(),
            &|source| source.list.as_mut().unwrap().bytes = LIST_BYTES_MAX + 1,
            &|source| source.parts = sound().source.parts,
        ];
        for (index, edit) in edits.iter().enumerate() {
            let mut state = state.clone();
            edit(&mut state.source);
            assert!(video(id.as_str(), &state).is_err(), "{index}");
        }

        let check = |list: &PartList| parts("x", &id, &state.source, list);
        let mut own = PartList::of(&id);
        own.push(&format!("raw/{id}/00000"), 12, None);
        assert_eq!(check(&own), Ok(()));
        assert_eq!(check(&PartList::one("incoming/film.mp4", 12)), Ok(()));
        let stranger = format!("raw/{}/00000", VideoId::from_bits(2));
        for key in [stranger.as_str(), "out/x", "raw/../x", ".hidden", ""] {
            assert!(check(&PartList::one(key, 12)).is_err(), "{key}");
        }
        assert!(check(&PartList::one("incoming/film.mp4", 11)).is_err());
        own.push(&format!("raw/{id}/00001"), u64::MAX, None);
        assert!(check(&own).is_err());
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
