//! What nodes say of themselves.

use async_nats::jetstream;
use futures::StreamExt as _;
use jetreel::bus::names;
use jetreel_actors::ports::{Leases as _, Nodes as _, Swap};
use jetreel_domain::upkeep::leadership::{self, Office};
use jetreel_domain::upkeep::presence::Presence;

use crate::harness::nats::Nats;

fn presence(node: &str, at: i64) -> Presence {
    Presence {
        v: 1,
        node: node.to_owned(),
        roles: ["encode".to_owned()].into(),
        codec_build: Some("build".to_owned()),
        slots: 2,
        since: 1,
        at,
        ..Presence::default()
    }
}

#[tokio::test]
async fn what_nodes_say_is_read_on_from_where_it_was_read() {
    let (nats, bus) = Nats::start_with_streams().await;
    // The lease beside it is no node report.
    let lease = leadership::take(None, "holder", "one", 0, 10).unwrap();
    assert!(matches!(bus.swap_lease(Office::Reconciler, &lease, 0).await.unwrap(), Swap::Done(_)));
    assert!(bus.said(0, 10).await.unwrap().words.is_empty());
    for (id, at) in [("a", 10), ("b", 11), ("a", 12)] {
        bus.tell(id, &presence(id, at)).await.unwrap();
    }
    let by_id = |id: &str, at| (id.to_owned(), presence(id, at));
    let said = async |after, limit| {
        let said = bus.said(after, limit).await.unwrap();
        assert!(said.unreadable.is_empty());
        let words = said.words.into_iter();
        let words = words.map(|word| (word.id, word.presence)).collect::<Vec<_>>();
        (words, said.read)
    };
    let (words, read) = said(0, 10).await;
    assert_eq!(words, [by_id("b", 11), by_id("a", 12)], "the last word of each");
    assert_eq!(said(read, 10).await, (Vec::new(), read));
    bus.tell("b", &presence("b", 13)).await.unwrap();
    assert_eq!(said(read, 10).await.0, [by_id("b", 13)]);
    let (one, read) = said(0, 1).await;
    assert_eq!((one, said(read, 10).await.0), (vec![by_id("a", 12)], vec![by_id("b", 13)]));

    bus.leave("a").await.unwrap();
    bus.leave("never-there").await.unwrap();
    assert_eq!(said(0, 10).await.0, [by_id("b", 13)]);
    let all = bus.said(0, 10).await.unwrap();
    assert_eq!(all.left, ["a", "never-there"]);
    // By the broker's clock, not by the node's.
    assert!(all.words[0].at > 1_700_000_000 && all.words[0].sequence < all.read, "{all:?}");
    // Other clients see the same.
    let bucket = jetstream::new(nats.client().await).get_key_value(names::NODES_BUCKET).await;
    let bucket = bucket.unwrap();
    assert!(bucket.get(names::node_key("a")).await.unwrap().is_none());
    assert!(bucket.get(names::node_key("b")).await.unwrap().is_some());
}

#[tokio::test]
async fn the_words_of_a_large_cluster_are_read_in_batches() {
    let (nats, bus) = Nats::start_with_streams().await;
    let client = nats.client().await;
    let context = jetstream::new(client.clone());
    let word = serde_json::to_vec(&presence("one", 10)).unwrap();
    let mut stored = Vec::new();
    for index in 0..600 {
        let subject =
            names::bucket_subject(names::NODES_BUCKET, &names::node_key(&format!("{index:04}")));
        stored.push(context.publish(subject, word.clone().into()).await.unwrap());
    }
    for stored in stored {
        stored.await.unwrap();
    }
    let stream = names::bucket_stream(names::NODES_BUCKET);
    let mut single = client.subscribe(format!("$JS.API.STREAM.MSG.GET.{stream}")).await.unwrap();
    client.flush().await.unwrap();
    for (after, limit, wanted) in [(0, 1000, 0..600), (100, 300, 100..400), (599, 5, 599..600)] {
        let said = bus.said(after, limit).await.unwrap();
        let ids: Vec<String> = said.words.into_iter().map(|word| word.id).collect();
        assert_eq!(said.read, wanted.end);
        assert_eq!(ids, wanted.map(|index| format!("{index:04}")).collect::<Vec<_>>());
    }
    client.publish(format!("$JS.API.STREAM.MSG.GET.{stream}"), "end".into()).await.unwrap();
    let mut requests = 0;
    while single.next().await.unwrap().payload != "end" {
        requests += 1;
    }
    assert!((3..20).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_word_that_nobody_understands_keeps_nobody_from_hearing_the_others() {
    let (nats, bus) = Nats::start_with_streams().await;
    let context = jetstream::new(nats.client().await);
    for (id, word) in [("odd", "{}"), ("newer", "{\"v\":9,\"codec_build\":\"new\"}")] {
        let subject = names::bucket_subject(names::NODES_BUCKET, &names::node_key(id));
        context.publish(subject, word.into()).await.unwrap().await.unwrap();
    }
    bus.tell("a", &presence("a", 12)).await.unwrap();
    let said = bus.said(0, 10).await.unwrap();
    let words: Vec<&str> = said.words.iter().map(|word| word.id.as_str()).collect();
    assert_eq!((words.as_slice(), said.read), (["newer", "a"].as_slice(), 3));
    let codes = said.unreadable.iter().map(|word| (word.id.as_str(), word.failure.code.as_str()));
    let unreadable = "unreadable-document";
    assert!(codes.eq([("odd", unreadable), ("newer", unreadable)]), "{said:?}");
}
