//! The last words of a process: its log pipe is drained to the end, of which only the tail is kept.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes kept.
const TAIL_BYTES_MAX: usize = 64 << 10;

/// Reads to the end; gives the tail as text that is safe to show.
pub(super) async fn drain(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut tail = VecDeque::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        tail.extend(&buffer[..count]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES_MAX);
        tail.drain(..surplus);
    }
    printable(&String::from_utf8_lossy(tail.make_contiguous()))
}

/// A hostile file may make the codec log escape sequences.
fn printable(text: &str) -> String {
    let safe = |c: char| c == '\n' || c == '\t' || !c.is_control();
    text.chars().filter(|c| safe(*c)).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_tail_is_kept_and_nothing_in_it_controls_a_terminal() {
        let text = format!("{}\x1b[31mend\r\n", "x".repeat(3 * TAIL_BYTES_MAX));
        let tail = drain(text.as_bytes()).await;
        assert!(tail.ends_with("x[31mend"));
        assert!(tail.len() <= TAIL_BYTES_MAX);
    }
}
