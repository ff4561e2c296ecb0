//! Faults made by hands at the broker: streams that take nothing, consumers deleted, documents and messages of no form.

use anyhow::{Context as _, bail};
use async_nats::jetstream;
use jetreel::bus::names;
use jetreel_domain::id::{Group, VideoId};
use jetreel_domain::order::lane::Lane;
use uuid::Uuid;

use super::stage::Stage;
use super::step::Step;

/// Content that no message or document of Jetreel has.
const RUBBISH: &str = "rubbish";
/// Bytes that the dead letters may take: fewer than two letters.
const FULL_BYTES: i64 = 1000;
/// A node that says nothing understandable of itself.
const UNKNOWN_NODE: &str = "node.unknown";

impl Stage {
    #[expect(clippy::wildcard_enum_match_arm, reason = "`step` names every kind")]
    pub(super) async fn hands(&mut self, step: Step) -> anyhow::Result<()> {
        let context = jetstream::new(self.world.watch.client().clone());
        match step {
            Step::FillLetters => fill_letters(&context).await,
            Step::Rubbish(messages) => {
                for _ in 0..messages {
                    let subject = format!("video.uploads.raw.{}", self.rubbish_id());
                    context.publish(subject, RUBBISH.into()).await?.await?;
                }
                Ok(())
            }
            Step::RubbishDocuments => {
                let video = self.rubbish_id();
                let nodes = [names::RECONCILER_KEY, UNKNOWN_NODE];
                let documents = nodes.map(|key| (names::NODES_BUCKET, key));
                let documents =
                    documents.into_iter().chain([(names::VIDEOS_BUCKET, video.as_str())]);
                for (bucket, key) in documents {
                    let bucket = context.get_key_value(bucket).await?;
                    bucket.put(key, RUBBISH.into()).await?;
                }
                Ok(())
            }
            Step::DeleteConsumers => {
                let encode = names::encode_consumer(Lane::Normal, Group::Main);
                let ours =
                    [(names::ENCODE, encode.as_str()), (names::LEDGER, names::PUBLISH_CONSUMER)];
                for (stream, consumer) in ours {
                    context.delete_consumer_from_stream(consumer, stream).await.with_context(
                        || format!("the consumer {consumer} was not there to be deleted"),
                    )?;
                }
                Ok(())
            }
            other => bail!("{other:?} is no step by hand"),
        }
    }

    fn rubbish_id(&mut self) -> VideoId {
        let id = VideoId::from_bits(Uuid::now_v7().as_u128());
        self.world.rubbish.insert(id.clone());
        id
    }
}

async fn fill_letters(context: &jetstream::Context) -> anyhow::Result<()> {
    let mut config = context.get_stream(names::DLQ).await?.cached_info().config.clone();
    config.max_bytes = FULL_BYTES;
    context.update_stream(config).await?;
    Ok(())
}
