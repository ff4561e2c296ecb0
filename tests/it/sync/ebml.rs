//! Matroska with ticks of a nanosecond, which no option of ffmpeg's muxer makes.
//!
//! A block counts from its cluster in 16 bits, so with such ticks every block needs its own cluster. There is no index.

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TICK: u32 = 0x2A_D7B1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const TIME: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const BLOCK_DURATION: u32 = 0x9B;
const REFERENCE: u32 = 0xFB;

/// Nanoseconds of a tick that the muxer writes.
const MILLISECOND: u64 = 1_000_000;

/// An element without its head.
struct Element<'a> {
    id: u32,
    body: &'a [u8],
}

/// The same file with ticks of a nanosecond.
pub(super) fn in_nanoseconds(file: &[u8]) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    for Element { id, body } in elements(file)? {
        whole.extend(if id == SEGMENT { write(id, &segment(body)?) } else { write(id, body) });
    }
    Ok(whole)
}

fn segment(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut segment = Vec::new();
    for Element { id, body } in elements(bytes)? {
        match id {
            INFO => segment.extend(write(INFO, &info(body)?)),
            TRACKS => segment.extend(write(TRACKS, body)),
            CLUSTER => segment.extend(clusters(body)?),
            // Positions, checksums and tags.
            _ => {}
        }
    }
    Ok(segment)
}

fn info(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut info = write(TICK, &[1]);
    for Element { id, body } in elements(bytes)?.into_iter().filter(|element| element.id != TICK) {
        let eight: Option<[u8; 8]> = body.try_into().ok().filter(|_| id == DURATION);
        let longer = eight.map(|eight| f64::from_be_bytes(eight) * MILLISECOND as f64);
        let longer = longer.map(f64::to_be_bytes);
        info.extend(write(id, longer.as_ref().map_or(body, |longer| &longer[..])));
    }
    Ok(info)
}

/// A cluster for each block of one.
fn clusters(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (mut clusters, mut start) = (Vec::new(), 0);
    for Element { id, body } in elements(bytes)? {
        match id {
            TIME => start = number(body),
            SIMPLE_BLOCK => {
                let (time, block) = at_once(body, start)?;
                clusters.extend(cluster(time, &write(SIMPLE_BLOCK, &block)));
            }
            BLOCK_GROUP => {
                let (time, group) = group(body, start)?;
                clusters.extend(cluster(time, &write(BLOCK_GROUP, &group)));
            }
            _ => {}
        }
    }
    Ok(clusters)
}

fn group(bytes: &[u8], start: u64) -> Result<(u64, Vec<u8>), String> {
    let (mut group, mut time) = (Vec::new(), start);
    for Element { id, body } in elements(bytes)? {
        match id {
            BLOCK => {
                let (own, block) = at_once(body, start)?;
                time = own;
                group.extend(write(BLOCK, &block));
            }
            BLOCK_DURATION => {
                group.extend(write(id, &(number(body) * MILLISECOND).to_be_bytes()));
            }
            // That there is one says that the block is no key; -1 is as good as any.
            REFERENCE => group.extend(write(id, &[0xFF])),
            _ => group.extend(write(id, body)),
        }
    }
    Ok((time, group))
}

fn cluster(milliseconds: u64, block: &[u8]) -> Vec<u8> {
    let time = write(TIME, &(milliseconds * MILLISECOND).to_be_bytes());
    write(CLUSTER, &[&time, block].concat())
}

/// Milliseconds of a block, and the block at the start of its cluster.
fn at_once(block: &[u8], start: u64) -> Result<(u64, Vec<u8>), String> {
    let (_, after) = vint(block, 0, false)?;
    let two = block.get(after..after + 2).and_then(|two| two.try_into().ok());
    let offset = i16::from_be_bytes(two.ok_or("a block is cut short")?);
    let time = start.checked_add_signed(offset.into()).ok_or("a block before the start")?;
    let mut block = block.to_vec();
    block[after..after + 2].fill(0);
    Ok((time, block))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn elements(bytes: &[u8]) -> Result<Vec<Element<'_>>, String> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (id, after) = vint(bytes, at, true)?;
        let (size, begin) = vint(bytes, after, false)?;
        let end = begin.saturating_add(size as usize);
        let body = bytes.get(begin..end).ok_or("an element is cut short, or has no length")?;
        found.push(Element { id: id as u32, body });
        at = end;
    }
    Ok(found)
}

/// A number of one to eight bytes, and the place after it; `marked` keeps the bit that tells its length, as names of elements do.
fn vint(bytes: &[u8], at: usize, marked: bool) -> Result<(u64, usize), String> {
    let first = *bytes.get(at).ok_or("the file is cut short")?;
    let length = first.leading_zeros() as usize + 1;
    let all = bytes.get(at..at + length).filter(|_| length <= 8).ok_or("no number")?;
    let mark = if marked { 0 } else { 1 << (7 * length) };
    Ok((number(all) & !mark, at + length))
}

/// An element with a length of eight bytes.
fn write(id: u32, body: &[u8]) -> Vec<u8> {
    let name = id.to_be_bytes();
    let name = &name[id.leading_zeros() as usize / 8..];
    let size = (1 << 56 | body.len() as u64).to_be_bytes();
    [name, &size, body].concat()
}

#[test]
fn a_block_in_the_middle_of_a_cluster_gets_its_own_time() {
    let blocks = [
        write(TIME, &[10]),
        write(SIMPLE_BLOCK, &[0x81, 0, 0, 0x80, 7]),
        write(SIMPLE_BLOCK, &[0x81, 0, 40, 0, 8]),
    ];
    let file = write(SEGMENT, &write(CLUSTER, &blocks.concat()));
    let found = in_nanoseconds(&file).expect("a file");
    let one = |time: u64, block: &[u8]| cluster(time, &write(SIMPLE_BLOCK, block));
    let clusters = [one(10, &[0x81, 0, 0, 0x80, 7]), one(50, &[0x81, 0, 0, 0, 8])].concat();
    assert_eq!(found, write(SEGMENT, &clusters));
    assert!(in_nanoseconds(&file[..file.len() - 1]).is_err());
}
