//! Reads the log pipe of a process to its end and keeps the tail.
//!
//! Invariant: the parent reads at most [`BYTES_PER_SECOND`] of a process's log. A process that logs more has to wait.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until};

/// Size of the kept tail in bytes.
const TAIL_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read without delay: far more than a healthy process logs.
const BYTES_AT_ONCE: u64 = 4 << 20;
/// Bytes that are read per second beyond them.
const BYTES_PER_SECOND: u64 = 4 << 20;

/// Reads to the end. Returns the tail as text that is safe to display.
pub(super) async fn drain(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut tail = VecDeque::new();
    let mut buffer = [0; 4096];
    let (begun, mut total) = (Instant::now(), 0);
    let mut cut = false;
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        total += count as u64;
        sleep_until(begun + due(total)).await;
        tail.extend(&buffer[..count]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES_MAX);
        cut |= surplus > 0;
        tail.drain(..surplus);
    }
    let text = printable(&String::from_utf8_lossy(tail.make_contiguous()));
    // The rest of a cut line is dropped.
    match text.split_once('\n') {
        Some((_, lines)) if cut => lines.to_owned(),
        Some(_) | None => text,
    }
}

/// Shortest time to read a log of `total` bytes.
fn due(total: u64) -> Duration {
    Duration::from_secs_f64(total.saturating_sub(BYTES_AT_ONCE) as f64 / BYTES_PER_SECOND as f64)
}

/// A hostile file may make the codec log escape sequences.
fn printable(text: &str) -> String {
    let safe = |c: char| c == '\n' || c == '\t' || !c.is_control();
    text.chars().filter(|c| safe(*c)).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_end_is_read_slowly() {
        assert_eq!(due(BYTES_AT_ONCE), Duration::ZERO);
        assert_eq!(due(BYTES_AT_ONCE + 60 * BYTES_PER_SECOND), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn only_the_tail_is_kept_and_nothing_in_it_controls_a_terminal() {
        let text = format!("{}\x1b[31mend\r\n", "x".repeat(3 * TAIL_BYTES_MAX));
        let tail = drain(text.as_bytes()).await;
        assert!(tail.ends_with("x[31mend"));
        assert!(tail.len() <= TAIL_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_tail_begins_with_a_whole_line() {
        let text = "a whole line\n".repeat(TAIL_BYTES_MAX);
        let tail = drain(text.as_bytes()).await;
        assert!(tail.starts_with("a whole line\n") && tail.ends_with("\na whole line"));
    }
}
