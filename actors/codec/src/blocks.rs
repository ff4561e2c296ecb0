//! Pictures of a Matroska file before time 0. The time of a block counts from its cluster, also backwards, and libav gives no time to a
//! block before 0.
//!
//! Invariants: a cluster is examined only if a packet has no time, and only a few are. Nothing is allocated that a file merely declares.

use ffmpeg_next::Packet;

use crate::boxes::read_all;
use crate::failure::Outcome;
use crate::link::Link;

/// Name of libav's Matroska demuxer.
pub(crate) const MATROSKA_FORMAT: &str = "matroska,webm";

/// Most clusters that are examined: blocks reach back 32768 ticks from theirs.
const CLUSTERS_MAX: u32 = 16;
/// Most bytes of a cluster that are examined: muxers begin another one every few seconds.
const CLUSTER_BYTES_MAX: u64 = 32 << 20;
/// Bytes between the beginning of a cluster and its first block.
const LEAD_BYTES: u64 = 256;

const CLUSTER: u64 = 0x1f43_b675;
const CLUSTER_TIME: u64 = 0xe7;
const BLOCK_GROUP: u64 = 0xa0;
const BLOCK: u64 = 0xa1;
const SIMPLE_BLOCK: u64 = 0xa3;
/// Finds the times of packets that have none.
pub(crate) struct Blocks {
    link: Link,
    object: u32,
    size: u64,
    cluster: Option<Cluster>,
    looked: u32,
}

impl Blocks {
    /// For object `object` of `size` bytes.
    pub(crate) fn new(link: Link, object: u32, size: u64) -> Self {
        Self { link, object, size, cluster: None, looked: 0 }
    }

    /// Sets the times of a picture packet from its block, in ticks of the container.
    pub(crate) fn mend(&mut self, packet: &mut Packet) -> Outcome<()> {
        // libav's position is where the content of a block begins.
        let position = u64::try_from(packet.position()).ok().filter(|at| *at < self.size);
        let Some(position) = position.filter(|_| packet.pts().is_none() || packet.dts().is_none())
        else {
            return Ok(());
        };
        let known = self.cluster.as_ref().is_some_and(|cluster| cluster.times(position).is_some());
        if !known && packet.pts().is_none() && self.looked < CLUSTERS_MAX {
            self.looked += 1;
            self.cluster = self.cluster_before(position)?;
        }
        let times = self.cluster.as_ref().and_then(|cluster| cluster.times(position));
        if let Some((pts, dts)) = times {
            packet.set_pts(packet.pts().or(Some(pts)));
            packet.set_dts(packet.dts().or(Some(dts)));
        }
        Ok(())
    }

    /// The cluster whose first block begins at `position`.
    fn cluster_before(&self, position: u64) -> Outcome<Option<Cluster>> {
        let start = position.saturating_sub(LEAD_BYTES);
        let lead = self.link.read(self.object, start, (position - start) as u32)?;
        let mark = CLUSTER.to_be_bytes();
        let Some(at) = lead.windows(4).rposition(|four| four == &mark[4..]) else {
            return Ok(None);
        };
        let start = start + at as u64;
        let length = cluster_bytes(&lead[at..]).unwrap_or(0).min(self.size - start);
        let bytes = read_all(&self.link, self.object, start, length.min(CLUSTER_BYTES_MAX))?;
        Ok(Some(Cluster::read(start, &bytes)))
    }
}

/// The blocks of a cluster with a block before time 0.
#[derive(Debug, Default)]
struct Cluster {
    /// The blocks in file order.
    blocks: Vec<Block>,
}

/// A block.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Position of its content.
    position: u64,
    track: u64,
    pts: i64,
    dts: i64,
}

impl Cluster {
    /// Reads a cluster that begins with `bytes`, at `position`.
    fn read(position: u64, bytes: &[u8]) -> Self {
        let mut blocks = Vec::new();
        let mut time = 0;
        let Some((_, body)) = elements(bytes).find(|(id, _)| *id == CLUSTER) else {
            return Self::default();
        };
        let place = |body: &[u8]| position + (body.as_ptr().addr() - bytes.as_ptr().addr()) as u64;
        for (id, body) in elements(body) {
            match id {
                CLUSTER_TIME => {
                    time = body.iter().fold(0, |time: i64, byte| time << 8 | i64::from(*byte));
                }
                SIMPLE_BLOCK => blocks.extend(block(body, place(body))),
                BLOCK_GROUP => {
                    let own = elements(body).filter(|(id, _)| *id == BLOCK);
                    blocks.extend(own.filter_map(|(_, body)| block(body, place(body))));
                }
                // The next cluster, after one of unknown size.
                CLUSTER => break,
                _ => {}
            }
        }
        blocks.iter_mut().for_each(|block| block.pts = block.pts.saturating_add(time));
        // libav gives all times of other clusters.
        if blocks.iter().all(|block| block.pts >= 0) {
            blocks.clear();
        }
        decode_times(&mut blocks);
        Self { blocks }
    }

    /// Presentation and decode time of the block whose content begins at `position`.
    fn times(&self, position: u64) -> Option<(i64, i64)> {
        let found = self.blocks.binary_search_by_key(&position, |block| block.position).ok()?;
        Some((self.blocks[found].pts, self.blocks[found].dts))
    }
}

/// Decode times ascend, and none is after the presentation time of its frame.
fn decode_times(blocks: &mut [Block]) {
    let mut tracks: Vec<u64> = blocks.iter().map(|block| block.track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    for track in tracks {
        let own = || blocks.iter().filter(|block| block.track == track).map(|block| block.pts);
        let mut sorted: Vec<i64> = own().collect();
        sorted.sort_unstable();
        let delay = own().zip(&sorted).map(|(pts, dts)| dts - pts).max().unwrap_or(0).max(0);
        let own = blocks.iter_mut().filter(|block| block.track == track);
        own.zip(sorted).for_each(|(block, sorted)| block.dts = sorted - delay);
    }
}

/// A block, with its time relative to the cluster.
fn block(body: &[u8], position: u64) -> Option<Block> {
    let (track, rest) = number(body)?;
    let pts = i64::from(i16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    Some(Block { position, track, pts, dts: 0 })
}

/// Size in bytes of the cluster that `head` begins; `None` if it is unknown.
fn cluster_bytes(head: &[u8]) -> Option<u64> {
    let (id, rest) = identifier(head)?;
    let (size, body) = number(rest)?;
    let start = (head.len() - body.len()) as u64;
    (id == CLUSTER).then(|| start.saturating_add(size))
}

/// The elements in `bytes`. The last one may be cut short.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (id, rest) = identifier(bytes)?;
        let (size, rest) = number(rest)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        let (body, rest) = rest.split_at(size);
        bytes = rest;
        Some((id, body))
    })
}

/// An EBML number without its length marker. All ones is an unknown size, returned as the largest number.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (marked, rest) = identifier(bytes)?;
    let length = bytes.len() - rest.len();
    let mask = (1_u64 << (7 * length)) - 1;
    let value = marked & mask;
    Some((if value == mask { u64::MAX } else { value }, rest))
}

/// An EBML number with its length marker, as identifiers are written.
fn identifier(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let (own, rest) = bytes.split_at_checked(length).filter(|_| length <= 8)?;
    Some((own.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &[0x40 | (body.len() >> 8) as u8, body.len() as u8], body].concat()
    }

    fn simple(track: u8, time: i16) -> Vec<u8> {
        let [high, low] = time.to_be_bytes();
        element(&[0xa3], &[0x80 | track, high, low, 0, 7])
    }

    fn cluster(time: u8, blocks: &[Vec<u8>]) -> Vec<u8> {
        let body = [element(&[0xe7], &[time]), blocks.concat()].concat();
        element(&[0x1f, 0x43, 0xb6, 0x75], &body)
    }

    /// Times of the blocks of `track` in a cluster at byte 100.
    fn times(bytes: &[u8], track: u8) -> Vec<(i64, i64)> {
        let cluster = Cluster::read(100, bytes);
        let begins = |at: &usize| bytes[*at..].starts_with(&[0x80 | track]);
        (0..bytes.len()).filter(begins).filter_map(|at| cluster.times(100 + at as u64)).collect()
    }

    #[test]
    fn blocks_before_time_0_have_the_times_that_they_say() {
        let grouped = element(&[0xa0], &element(&[0xa1], &[0x81, 0xff, 0xd8, 0, 7, 7]));
        let blocks = [simple(1, -80), simple(2, -90), simple(1, 40), grouped, simple(1, 0)];
        let bytes = cluster(0, &blocks);
        // One picture is shown before another one that is decoded before it.
        assert_eq!(times(&bytes, 1), [(-80, -120), (40, -80), (-40, -40), (0, 0)]);
        assert_eq!(times(&bytes, 2), [(-90, -90)]);
    }

    #[test]
    fn a_block_counts_from_its_cluster() {
        let blocks = [-80, -40, 0].map(|time| simple(1, time));
        assert_eq!(times(&cluster(20, &blocks), 1), [(-60, -60), (-20, -20), (20, 20)]);
    }

    #[test]
    fn a_cluster_without_blocks_before_time_0_tells_nothing() {
        let bytes = cluster(20, &[simple(1, -20), simple(1, 20)]);
        assert_eq!(times(&bytes, 1), []);
        assert_eq!(times(&bytes[..9], 1), []);
        assert_eq!(times(&[0; 20], 1), []);
    }

    #[test]
    fn the_length_of_a_cluster_is_told_by_its_head() {
        let whole = cluster(0, &[simple(1, -20)]);
        assert_eq!(cluster_bytes(&whole), Some(whole.len() as u64));
        let unknown = [0x1f, 0x43, 0xb6, 0x75, 0x01, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(cluster_bytes(&unknown), Some(u64::MAX));
        assert_eq!(cluster_bytes(&[0x1f, 0x43, 0xb6]), None);
    }
}
