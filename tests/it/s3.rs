//! The main job end to end on a store that speaks S3.

mod unfinished;

use crate::harness::media::{self, FILM, SEQUENTIAL};
use crate::harness::s3::S3Server;
use crate::harness::site::Site;
use crate::upload_to_publish::must_be_published;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_becomes_a_video_on_s3() {
    let (Some(film), Some(sequential)) = (media::made(FILM), media::made(SEQUENTIAL)) else {
        return;
    };
    let server = S3Server::start().await;
    let site = Site::start_on_s3(&server.options()).await;
    // Parts of the upload as small as S3 takes them, so that there are several.
    let uploads = [("HTTP__PART_BYTES", "5242880"), ("LIMITS__UPLOAD_BYTES_MAX", "1073741824")];
    let node = site.node("one", &[&[("NODE__SLOTS", "2")], &uploads[..]].concat()).await;
    let orders = [(node.submit(&film).await, FILM), (node.submit(&sequential).await, SEQUENTIAL)];
    for (order, from) in orders {
        site.facts(&order).await.until("completed").await;
        must_be_published(&site, &node, &order, from).await;
    }
    let left = server.leftovers();
    assert!(left.is_empty(), "{left:?}");
}
